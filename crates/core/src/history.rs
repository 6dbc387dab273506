use tokio::time::Duration;

use crate::{Fault, Target};

/// What happened to a call on its way: the attempts made, the hops tried, and who served it in the end.
///
/// Responses and errors carry it; policies add to it. An empty history allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// Attempts made, over all hops; zero where no policy counted them.
    pub attempts: u32,
    /// Why retrying ended without an answer, where it did.
    pub gave_up: Option<GaveUp>,
    /// The hops that did not serve the call, in the order they were tried.
    pub failed_hops: Vec<Hop>,
    /// The target that served the call; `None` where no fallback policy was asked, or none served it.
    pub served_by: Option<Target>,
    /// Set where the answer is a stand-in for what was asked.
    pub degraded: Option<Degraded>,
}

/// A hop of a fallback chain that did not serve the call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// Where it was, or would have been, sent.
    pub target: Target,
    /// What went wrong there.
    pub fault: Fault,
    /// Attempts made there; zero for a hop that was skipped because it was known to have no headroom.
    pub attempts: u32,
}

/// Why a call was not tried again although its fault could have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GaveUp {
    /// All attempts were used.
    MaxAttempts,
    /// The time allowed for retrying was used.
    MaxElapsed,
    /// The next attempt would have started after the call's deadline.
    Deadline,
    /// Bedrock asked for a longer wait than the deadline leaves.
    RetryAfter,
    /// The target's retry budget was empty.
    Budget,
}

/// An answer that stands in for what was asked: cached, or canned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Degraded {
    /// How old the answer is, where it was kept from an earlier call.
    pub age: Option<Duration>,
}

impl Hop {
    /// A hop that did not serve the call.
    #[must_use]
    pub const fn new(target: Target, fault: Fault, attempts: u32) -> Self {
        Self {
            target,
            fault,
            attempts,
        }
    }
}

impl Degraded {
    /// An answer kept from an earlier call, so long ago.
    #[must_use]
    pub const fn with_age(age: Duration) -> Self {
        Self { age: Some(age) }
    }
}

impl GaveUp {
    /// The cause in snake case, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxAttempts => "max_attempts",
            Self::MaxElapsed => "max_elapsed",
            Self::Deadline => "deadline",
            Self::RetryAfter => "retry_after",
            Self::Budget => "budget",
        }
    }
}
