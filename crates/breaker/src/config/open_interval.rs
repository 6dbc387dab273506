use rand::{Rng, RngExt};
use tokio::time::Duration;

/// How long a breaker stays open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenInterval {
    pub(crate) base: Duration,
    /// At least 1.
    pub(crate) multiplier: f64,
    /// At least `base`.
    pub(crate) max: Duration,
    /// 0 to below 1.
    pub(crate) randomized: f64,
}

impl OpenInterval {
    /// The interval of the given trip in a row, the first being 1:
    /// `min(max, base * multiplier^(trip - 1))`, then drawn evenly from `randomized` around that, and still
    /// at most `max`.
    ///
    /// The range is cut at `max` before drawing: cutting what was drawn would put half the breakers that
    /// have reached `max` on exactly the same interval.
    pub(crate) fn of_trip(&self, trip: u32, random: &mut impl Rng) -> Duration {
        let max = self.max.as_secs_f64();
        let exponent = i32::try_from(trip.saturating_sub(1)).unwrap_or(i32::MAX);
        // Infinity where it overflows, which `min` mends.
        let interval = (self.base.as_secs_f64() * self.multiplier.powi(exponent)).min(max);
        let lowest = interval * (1.0 - self.randomized);
        let highest = (interval * (1.0 + self.randomized)).min(max);
        // Seconds in floating point may round up.
        Duration::from_secs_f64(random.random_range(lowest..=highest)).min(self.max)
    }
}
