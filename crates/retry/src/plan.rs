use std::collections::BTreeMap;

use tokio::time::Duration;
use tower_bedrock_core::FaultKind;

use crate::{Backoff, Schedule};

/// Which kinds of fault are retried, and when: a table from [`FaultKind`] to [`Schedule`].
///
/// **A kind that is not in the table is never retried.**
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_core::FaultKind;
/// use tower_bedrock_retry::{Backoff, Plan, Schedule};
///
/// let plan = Plan::default();
/// assert_eq!(plan.schedule(FaultKind::Unavailable).unwrap().immediate(), 1);
/// assert_eq!(plan.schedule(FaultKind::Validation), None);
///
/// // There is a fallback model, so an overloaded one is left at once; and a model that took too long
/// // gets another chance.
/// let patient = Backoff::new(Duration::from_secs(5), Duration::from_secs(60))?;
/// let plan = plan
///     .without(FaultKind::ModelOverloaded)
///     .with(FaultKind::ModelTimeout, Schedule::new(patient));
/// # Ok::<(), tower_bedrock_retry::InvalidConfig>(())
/// ```
///
/// # The default
///
/// | fault | retried | base | cap | aligned to the quota's refresh |
/// |---|---|---|---|---|
/// | `ThrottledRequests`, `ThrottledTokens` | yes | 1 s | 60 s | yes |
/// | `Throttled`, `ModelOverloaded`, `Overloaded` | yes | 1 s | 60 s | no |
/// | `ModelNotReady` | yes | 2 s | 60 s | no |
/// | `TooManyConnections` | yes | 2 s | 60 s | no |
/// | `Unavailable` | once at once, then | 2 s | 60 s | no |
/// | `Transport` | once at once, then | 1 s | 60 s | no |
/// | `Internal`, `Timeout` | yes | 1 s | 60 s | no |
/// | all others | no | | | |
///
/// All with full jitter. Why:
///
/// - A throttle asks for time: AWS's guide to Bedrock's 429s teaches exponential backoff with jitter,
///   and quotas a minute come back with the minute.
/// - A 503 is not a quota: most are over at once, and those that are not take longer to recover.
/// - A connection that broke was often idle for too long; the next one is new.
/// - Tokens a day do not come back in time. The caller's mistakes, and what is not recognised, would fail
///   again. What a policy on this side turned away, it turned away on purpose.
/// - A model that failed or took too long (`ModelError`, `ModelStreamError`, `ModelTimeout`) does so
///   again more often than not, at the price of another full answer: another model is the better bet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    schedules: BTreeMap<FaultKind, Schedule>,
}

impl Plan {
    /// A plan that retries nothing yet.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            schedules: BTreeMap::new(),
        }
    }

    /// Retries faults of a kind, on this schedule from now on.
    #[must_use]
    pub fn with(mut self, kind: FaultKind, schedule: Schedule) -> Self {
        self.schedules.insert(kind, schedule);
        self
    }

    /// Never retries faults of a kind.
    #[must_use]
    pub fn without(mut self, kind: FaultKind) -> Self {
        self.schedules.remove(&kind);
        self
    }

    /// The schedule of a kind, or `None` where it is never retried.
    #[must_use]
    pub fn schedule(&self, kind: FaultKind) -> Option<&Schedule> {
        self.schedules.get(&kind)
    }

    /// The kinds that are retried, with their schedules.
    pub fn iter(&self) -> impl Iterator<Item = (FaultKind, &Schedule)> {
        self.schedules
            .iter()
            .map(|(kind, schedule)| (*kind, schedule))
    }
}

impl Default for Plan {
    fn default() -> Self {
        let usual = Schedule::new(Backoff::default());
        let slower = Schedule::new(Backoff::new_unchecked(
            Duration::from_secs(2),
            Duration::from_secs(60),
        ));
        Self::empty()
            .with(FaultKind::ThrottledRequests, usual.with_alignment(true))
            .with(FaultKind::ThrottledTokens, usual.with_alignment(true))
            .with(FaultKind::Throttled, usual)
            .with(FaultKind::ModelOverloaded, usual)
            .with(FaultKind::Overloaded, usual)
            .with(FaultKind::ModelNotReady, slower)
            .with(FaultKind::TooManyConnections, slower)
            .with(FaultKind::Unavailable, slower.with_immediate(1))
            .with(FaultKind::Transport, usual.with_immediate(1))
            .with(FaultKind::Internal, usual)
            .with(FaultKind::Timeout, usual)
    }
}
