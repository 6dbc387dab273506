use std::collections::VecDeque;

use tokio::time::Duration;

/// What was used in the period up to now, exactly: every event is kept until it is a period old. A
/// simulator can afford that; and what is exact can check what is approximate.
#[derive(Debug)]
pub(super) struct Sliding {
    period: Duration,
    /// When, and how much. The oldest first.
    events: VecDeque<(Duration, u64)>,
    /// The number of the oldest event.
    first: u64,
    used: u128,
}

impl Sliding {
    pub(super) const fn new(period: Duration) -> Self {
        Self {
            period,
            events: VecDeque::new(),
            first: 0,
            used: 0,
        }
    }

    pub(super) fn used(&mut self, now: Duration) -> u128 {
        while let Some((at, amount)) = self.events.front() {
            if now.saturating_sub(*at) < self.period {
                break;
            }
            self.used -= u128::from(*amount);
            self.events.pop_front();
            self.first += 1;
        }
        self.used
    }

    /// Answers the event's number.
    pub(super) fn take(&mut self, now: Duration, amount: u64) -> u64 {
        self.used(now);
        self.events.push_back((now, amount));
        self.used += u128::from(amount);
        self.first + self.events.len() as u64 - 1
    }

    /// What is a period old has been given back already.
    pub(super) fn give_back(&mut self, now: Duration, number: u64, unused: u64) {
        self.used(now);
        let event = number
            .checked_sub(self.first)
            .and_then(|index| self.events.get_mut(usize::try_from(index).ok()?));
        if let Some((_, amount)) = event {
            *amount -= unused;
            self.used -= u128::from(unused);
        }
    }
}
