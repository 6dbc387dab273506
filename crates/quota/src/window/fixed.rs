use crate::time::Time;

/// What was used in the current cycle. Cycles follow one another from the limiter's start.
///
/// What is given back counts in the cycle it was charged in, and is nothing in a later one. An overshoot
/// that the cycle has no room for is carried into the next ones as debt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    period: u64,
    cycle: u64,
    used: u64,
    debt: u64,
}

impl Fixed {
    pub(crate) const fn new(period: u64) -> Self {
        Self {
            period,
            cycle: 0,
            used: 0,
            debt: 0,
        }
    }

    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    pub(crate) const fn debt(&self) -> u64 {
        self.debt
    }

    pub(crate) const fn fits(&self, amount: u64, limit: u64) -> bool {
        // Room that was given back goes to the debt first.
        let owed = self.used.saturating_add(self.debt);
        owed.saturating_add(amount) <= limit
    }

    pub(crate) fn advance(&mut self, now: Time, limit: u64) {
        let cycle = now.as_nanos() / self.period;
        if cycle > self.cycle {
            let skipped = cycle - self.cycle - 1;
            self.debt = self.debt.saturating_sub(skipped.saturating_mul(limit));
            self.cycle = cycle;
            self.used = 0;
        }
        self.pay_what_fits(limit);
    }

    /// Charges `amount` and answers the cycle it went to.
    pub(crate) const fn charge(&mut self, amount: u64) -> u64 {
        self.used = self.used.saturating_add(amount);
        self.cycle
    }

    pub(crate) const fn give_back(&mut self, cycle: u64, amount: u64) {
        if cycle == self.cycle {
            self.used = self.used.saturating_sub(amount);
        }
    }

    pub(crate) fn owe(&mut self, amount: u64, limit: u64) {
        self.debt = self.debt.saturating_add(amount);
        self.pay_what_fits(limit);
    }

    pub(crate) fn ready_at(&self, now: Time, amount: u64, limit: u64, held: u64) -> Time {
        let amount = amount.saturating_add(self.debt);
        let in_use = self.used.saturating_add(held);
        let missing = amount.saturating_sub(limit.saturating_sub(in_use));
        if missing == 0 {
            return now;
        }
        let cycle = self.cycle.saturating_add(missing.div_ceil(limit));
        Time::from_nanos(cycle.saturating_mul(self.period))
    }

    fn pay_what_fits(&mut self, limit: u64) {
        let payable = self.debt.min(limit.saturating_sub(self.used));
        self.used += payable;
        self.debt -= payable;
    }
}
