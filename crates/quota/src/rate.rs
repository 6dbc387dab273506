use crate::time::Time;

/// How fast something is being used, smoothed over the last second or two.
///
/// Half-second counts, each new one weighing 0.8: the measure that the AWS SDKs' adaptive retry takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    per_nano: f64,
    count: u64,
    since: Time,
}

const SPAN: u64 = 500_000_000;
const WEIGHT: f64 = 0.8;

impl Rate {
    pub(crate) fn add(&mut self, now: Time, amount: u64) {
        let elapsed = now.since(self.since);
        if elapsed >= SPAN {
            let latest = self.count as f64 / elapsed as f64;
            self.per_nano = latest * WEIGHT + self.per_nano * (1.0 - WEIGHT);
            self.count = 0;
            self.since = now;
        }
        self.count = self.count.saturating_add(amount);
    }

    /// The amount a period at the rate measured, the half second under way included.
    pub(crate) fn per(&self, period: u64, now: Time) -> f64 {
        let latest = self.count as f64 / now.since(self.since).max(SPAN) as f64;
        latest.max(self.per_nano) * period as f64
    }
}
