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

/// How much has been used in the last period, as if what was used in the one before this one had come evenly.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lately {
    began: Time,
    now: u64,
    before: u64,
}

impl Lately {
    pub(crate) fn add(&mut self, period: u64, now: Time, amount: u64) {
        let elapsed = now.since(self.began);
        if elapsed >= period {
            self.before = if elapsed < period.saturating_mul(2) {
                self.now
            } else {
                0
            };
            self.now = 0;
            self.began = self.began.plus(elapsed - elapsed % period);
        }
        self.now = self.now.saturating_add(amount);
    }

    pub(crate) const fn take_back(&mut self, amount: u64) {
        self.now = self.now.saturating_sub(amount);
    }

    pub(crate) fn in_a_period(mut self, period: u64, now: Time) -> f64 {
        self.add(period, now, 0);
        let of_before = 1.0 - now.since(self.began) as f64 / period as f64;
        self.now as f64 + self.before as f64 * of_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lately_is_the_last_period_and_no_longer() {
        const MINUTE: u64 = 60_000_000_000;
        let at = |second: u64| Time::from_nanos(second * 1_000_000_000);
        let mut lately = Lately::default();
        let used = |lately: Lately, second| lately.in_a_period(MINUTE, at(second));
        for second in 0..90 {
            lately.add(MINUTE, at(second), 10);
        }
        assert!((used(lately, 90) - 600.0).abs() < 1.0);
        lately.take_back(100);
        assert!((used(lately, 90) - 500.0).abs() < 1.0);
        assert!((used(lately, 150) - 100.0).abs() < 1.0);
        assert!(used(lately, 180) < 1.0);
        // However long it was.
        lately.add(MINUTE, Time::from_nanos(u64::MAX), 7);
        assert!(lately.in_a_period(MINUTE, Time::from_nanos(u64::MAX)) < 8.0);
    }
}
