use std::time::SystemTime;

use tokio::time::{Duration, Instant};
use tower_bedrock_core::Target;

/// When a target's quota is refreshed next, for whoever knows.
///
/// A throttled call that comes back before the refresh is throttled again, so a schedule that is
/// [aligned](crate::Schedule::with_alignment) waits for it, and a little longer.
///
/// AWS does not document the shape of the window behind Bedrock's per-minute quotas, and a 429 does not
/// say when it ends. So there is no phase to be learnt from the wire, and by default none is assumed:
/// without a `QuotaCycle`, alignment changes nothing. Who has measured the phase, or has the quota's
/// bookkeeping at hand, says so with a [`FixedCycle`] or a closure:
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_bedrock_core::Target;
/// use tower_bedrock_retry::Policy;
///
/// let policy = Policy::builder()
///     .quota_cycle(|target: &Target, _now: Instant| {
///         // Known for one Region only.
///         (target.region().as_str() == "us-east-1").then_some(Duration::from_secs(12))
///     })
///     .build()?;
/// # Ok::<(), tower_bedrock_retry::InvalidConfig>(())
/// ```
pub trait QuotaCycle {
    /// How long it is from `now` to the next refresh, or `None` where that is not known.
    fn until_refresh(&self, target: &Target, now: Instant) -> Option<Duration>;
}

impl<F> QuotaCycle for F
where
    F: Fn(&Target, Instant) -> Option<Duration>,
{
    fn until_refresh(&self, target: &Target, now: Instant) -> Option<Duration> {
        self(target, now)
    }
}

/// A cycle of one fixed length for every target, its phase known.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_bedrock_core::Target;
/// use tower_bedrock_retry::{FixedCycle, QuotaCycle};
///
/// let refreshed = Instant::now();
/// let cycle = FixedCycle::minute(refreshed);
///
/// let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
/// let later = refreshed + Duration::from_secs(75);
/// assert_eq!(cycle.until_refresh(&target, later), Some(Duration::from_secs(45)));
/// # Ok::<(), tower_bedrock_core::InvalidTarget>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedCycle {
    refresh: Instant,
}

impl FixedCycle {
    /// Bedrock's quotas are by the minute.
    pub const PERIOD: Duration = Duration::from_secs(60);

    /// A refresh every 60 seconds, before and after the one at `refresh`.
    #[must_use]
    pub const fn minute(refresh: Instant) -> Self {
        Self { refresh }
    }

    /// A refresh at every full minute of the wall clock, which showed `time` at `now`.
    #[must_use]
    pub fn wall_clock_minute(time: SystemTime, now: Instant) -> Self {
        let since_epoch = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self::minute(now + (Self::PERIOD - remainder(since_epoch)))
    }
}

impl QuotaCycle for FixedCycle {
    /// Longer than zero: at the very moment of a refresh, the next one is a period away.
    fn until_refresh(&self, _: &Target, now: Instant) -> Option<Duration> {
        let into_cycle = remainder(now.saturating_duration_since(self.refresh));
        // One of the two differences is zero.
        let ahead = remainder(self.refresh.saturating_duration_since(now));
        Some(if ahead.is_zero() {
            Self::PERIOD - into_cycle
        } else {
            ahead
        })
    }
}

fn remainder(elapsed: Duration) -> Duration {
    let seconds = elapsed.as_secs() % FixedCycle::PERIOD.as_secs();
    Duration::new(seconds, elapsed.subsec_nanos())
}
