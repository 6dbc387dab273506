use std::fmt;

use tokio::time::{Duration, Instant};

/// What a breaker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Calls pass and their outcomes are counted.
    Closed,
    /// Calls are turned away until the open interval is over.
    Open,
    /// A fixed number of probes may pass; their outcomes decide between open and closed.
    HalfOpen,
    /// Turned off by an operator: calls are turned away until an operator says otherwise.
    ForcedOpen,
    /// Switched out by an operator: calls pass and nothing is counted.
    Disabled,
    /// Calls pass and are counted, and the breaker only reports when it would have opened.
    MetricsOnly,
}

/// Why a breaker changed its state, or would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// So many calls in a row failed.
    ConsecutiveFailures,
    /// The share of failed calls in the window reached its threshold.
    FailureRate,
    /// The share of slow calls in the window reached its threshold.
    SlowCallRate,
    /// The open interval is over.
    OpenIntervalOver,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// Enough probes failed.
    ProbesFailed,
    /// The last of the probes' places was taken and for too long none of the probes decided anything.
    ProbesLost,
    /// An operator said so.
    Operator,
}

/// Something that happened to the breaker of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<Q> {
    /// The key, by default the [`Target`](tower_bedrock_core::Target).
    pub key: Q,
    /// Counts the key's transitions: events reported by different threads can be put in order by it.
    pub generation: u64,
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// Its state changed.
    Transition {
        /// The state it left.
        from: State,
        /// The state it entered.
        to: State,
        /// Why.
        cause: Cause,
        /// How long it stays open, where it opened.
        open_for: Option<Duration>,
    },
    /// A threshold was reached while it only [takes metrics](State::MetricsOnly).
    WouldOpen {
        /// Which threshold.
        cause: Cause,
    },
}

/// What a breaker knew at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its state.
    pub state: State,
    /// How often it changed its state, or was reset, since it was made; starts at one.
    pub generation: u64,
    /// Calls counted in the window.
    pub calls: u64,
    /// Those of them that failed, throttled ones included.
    pub failures: u64,
    /// Those of them that were slow.
    pub slow_calls: u64,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// How often it opened since it was last closed.
    pub trips: u32,
    /// Calls turned away since it was made or reset.
    pub not_permitted: u64,
    /// Places for probes, where it is half-open.
    pub probes: Option<Probes>,
    /// How long until a call could pass; `None` where only an operator can let one pass.
    pub retry_after: Option<Duration>,
}

/// How the probes of a half-open breaker stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probes {
    /// Places that the next calls can take.
    pub free: u32,
    /// Probes that are under way.
    pub in_flight: u32,
    /// Probes that succeeded.
    pub successes: u32,
    /// Probes that failed.
    pub failures: u32,
}

impl State {
    /// The state in snake case, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

impl Cause {
    /// The cause in snake case, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::OpenIntervalOver => "open_interval_over",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbesFailed => "probes_failed",
            Self::ProbesLost => "probes_lost",
            Self::Operator => "operator",
        }
    }
}

impl Snapshot {
    /// The share of the window's calls that failed, in percent; `None` where the window is empty.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        percent(self.failures, self.calls)
    }

    /// The share of the window's calls that were slow, in percent; `None` where the window is empty.
    #[must_use]
    pub fn slow_call_rate(&self) -> Option<f64> {
        percent(self.slow_calls, self.calls)
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
