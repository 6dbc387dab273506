use crate::time::Time;

/// A bucket that drains without pause, a limit's worth each period, and never below empty. What is used
/// goes in; a use fits while the bucket stays below its brim.
///
/// What is given back leaves the bucket at once; an overshoot goes in on top, over the brim if need be.
/// That is Bedrock's "replenished" read to the letter: the room that draining made since the charge is
/// not asked back.
///
/// A bucket that others keep may hear of a use `delay` later than of the next one. So what goes into one that
/// has drained, or would have in that time, begins to drain so much later; while there is more in it, a
/// delay neither fills nor drains it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    period: u64,
    delay: u64,
    /// Tokens times the period, so that draining by the nanosecond needs no division.
    content: u128,
    /// How far it has drained; after a use that may come late, a moment yet to come.
    drained_at: Time,
}

impl Bucket {
    pub(crate) const fn new(period: u64, delay: u64) -> Self {
        Self {
            period,
            delay,
            content: 0,
            drained_at: Time::ZERO,
        }
    }

    /// The content, rounded up.
    pub(crate) fn used(&self) -> u64 {
        u64::try_from(self.content.div_ceil(self.period as u128)).unwrap_or(u64::MAX)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.content == 0
    }

    pub(crate) const fn fits(&self, amount: u64, brim: u64) -> bool {
        self.content.saturating_add(self.scaled(amount)) <= self.scaled(brim)
    }

    pub(crate) fn advance(&mut self, now: Time, limit: u64) {
        let drained = u128::from(limit) * u128::from(now.since(self.drained_at));
        self.content = self.content.saturating_sub(drained);
        self.drained_at = self.drained_at.max(now);
    }

    pub(crate) fn charge(&mut self, now: Time, amount: u64, limit: u64) {
        if self.content <= u128::from(limit) * u128::from(self.delay) {
            self.drained_at = self.drained_at.max(now.plus(self.delay));
        }
        self.content = self.content.saturating_add(self.scaled(amount));
    }

    pub(crate) const fn give_back(&mut self, amount: u64) {
        self.content = self.content.saturating_sub(self.scaled(amount));
    }

    pub(crate) fn ready_at(&self, now: Time, amount: u64, limit: u64, brim: u64) -> Time {
        let wanted = self.content.saturating_add(self.scaled(amount));
        let missing = wanted.saturating_sub(self.scaled(brim));
        if missing == 0 {
            return now;
        }
        let nanos = missing.div_ceil(u128::from(limit));
        self.drained_at
            .max(now)
            .plus(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    const fn scaled(&self, amount: u64) -> u128 {
        amount as u128 * self.period as u128
    }
}
