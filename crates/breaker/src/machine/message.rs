//! What goes into the state machine and comes out of it.

use tokio::time::Duration;

use crate::State;

/// How a call ended, of those that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: CallResult,
    pub(crate) slow: bool,
}

impl Outcome {
    /// A call that succeeded in time.
    pub(crate) const SUCCESS: Self = Self {
        result: CallResult::Success,
        slow: false,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    Success,
    Failure,
    SoftFailure,
}

/// The answer to a call that asks to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It passes, and holds nothing.
    Call {
        generation: u64,
    },
    /// It passes and holds a probe's place, which is to be given back.
    Probe {
        generation: u64,
    },
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) state: State,
    pub(crate) retry_after: Option<Duration>,
}

/// What an operator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Close,
    Reset,
    ForceOpen,
    Disable,
    MetricsOnly,
}

impl Command {
    /// The state it leads to.
    pub(crate) const fn state(self) -> State {
        match self {
            Self::Close | Self::Reset => State::Closed,
            Self::ForceOpen => State::ForcedOpen,
            Self::Disable => State::Disabled,
            Self::MetricsOnly => State::MetricsOnly,
        }
    }
}
