use tokio::time::{Duration, Instant};
use tower_bedrock_core::clock;

/// A moment, in nanoseconds since the limiter was made. One machine word, so that a window's ring of
/// slots stays small and comparing is cheap; it reaches 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Time(u64);

impl Time {
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`; zero where it is not earlier.
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so many nanoseconds later. The end of time stays where it is.
    pub(crate) const fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// How long from `now` until `self`.
    pub(crate) const fn wait_from(self, now: Self) -> Duration {
        Duration::from_nanos(self.since(now))
    }
}

/// Nanoseconds in a duration, at most as many as fit.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos() as u64)
}

/// Where [`Time`] starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) const fn starting_at(start: Instant) -> Self {
        Self { start }
    }

    pub(crate) fn time(&self, at: Instant) -> Time {
        Time(nanos(at.saturating_duration_since(self.start)))
    }

    pub(crate) fn now(&self) -> Time {
        self.time(clock::now())
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        // What the platform's clock cannot hold is far enough away to be thirty years.
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
        self.start
            .checked_add(Duration::from_nanos(time.0))
            .unwrap_or_else(|| self.start + FAR)
    }
}
