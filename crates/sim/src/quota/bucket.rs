use tokio::time::Duration;

/// A bucket that refills continuously, a limit's worth in a period, and holds a limit's worth at most.
///
/// It counts in parts, of which a token has as many as the period has nanoseconds. A nanosecond then
/// refills exactly `limit` parts, and nothing is ever rounded.
#[derive(Debug)]
pub(super) struct Bucket {
    period: i128,
    limit: i128,
    /// How much is missing from a full bucket, in parts. More than a bucketful is debt.
    missing: i128,
    at: Duration,
}

impl Bucket {
    pub(super) fn new(period: Duration, limit: u64, now: Duration) -> Self {
        Self {
            period: nanos(period).max(1),
            limit: i128::from(limit),
            missing: 0,
            at: now,
        }
    }

    /// What is missing stays missing.
    pub(super) fn set_capacity(&mut self, limit: u64, now: Duration) {
        self.refill(now);
        self.limit = i128::from(limit);
    }

    /// Rounded up, so that a token is there only when all of it is.
    pub(super) fn used(&mut self, now: Duration) -> u128 {
        self.refill(now);
        let tokens = self.missing / self.period + i128::from(self.missing % self.period != 0);
        tokens.unsigned_abs()
    }

    pub(super) fn take(&mut self, now: Duration, amount: u64) {
        self.refill(now);
        let parts = i128::from(amount) * self.period;
        self.missing = self.missing.saturating_add(parts);
    }

    pub(super) fn give_back(&mut self, now: Duration, unused: u64) {
        self.refill(now);
        self.missing -= i128::from(unused) * self.period;
        self.refill(now);
    }

    /// What a full bucket cannot hold flows over.
    fn refill(&mut self, now: Duration) {
        let refilled = nanos(now.saturating_sub(self.at)).saturating_mul(self.limit);
        self.missing = self.missing.saturating_sub(refilled).max(0);
        self.at = self.at.max(now);
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}
