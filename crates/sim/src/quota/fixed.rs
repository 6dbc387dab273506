use tokio::time::Duration;

/// What was used in the current cycle. Cycles are counted from the simulator's start, one after the other.
///
/// Debt beyond the limit is carried into the next cycle, and the one after, until it is worked off.
#[derive(Debug)]
pub(super) struct Fixed {
    period: Duration,
    cycle: u64,
    used: u128,
}

impl Fixed {
    pub(super) fn new(period: Duration, now: Duration) -> Self {
        Self {
            period,
            cycle: cycle(period, now),
            used: 0,
        }
    }

    /// Begins the cycles that have begun since.
    pub(super) fn advance(&mut self, now: Duration, limit: u64) {
        let current = cycle(self.period, now).max(self.cycle);
        let worked_off = u128::from(limit) * u128::from(current - self.cycle);
        self.used = self.used.saturating_sub(worked_off);
        self.cycle = current;
    }

    pub(super) fn used(&mut self, now: Duration, limit: u64) -> u128 {
        self.advance(now, limit);
        self.used
    }

    /// Answers the cycle's number.
    pub(super) fn take(&mut self, now: Duration, limit: u64, amount: u64) -> u64 {
        self.advance(now, limit);
        self.used += u128::from(amount);
        self.cycle
    }

    /// What was taken in an earlier cycle is gone with it.
    pub(super) fn give_back(&mut self, now: Duration, limit: u64, cycle: u64, unused: u64) {
        self.advance(now, limit);
        if cycle == self.cycle {
            self.used -= u128::from(unused);
        }
    }
}

fn cycle(period: Duration, now: Duration) -> u64 {
    let cycle = now.as_nanos() / period.as_nanos().max(1);
    u64::try_from(cycle).unwrap_or(u64::MAX)
}
