use std::{error::Error, fmt};

use tokio::time::Duration;
use tower_bedrock_core::{Fault, FaultKind, Rejection, Target};

use crate::{State, machine::Refusal};

/// A call was turned away by an open circuit breaker; the inner service was not touched.
///
/// Its [`source`](Error::source) is a [`Fault`] of kind [`FaultKind::CircuitOpen`], which carries
/// [`retry_after`](Self::retry_after).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    target: Target,
    state: State,
    fault: Fault,
}

impl Open {
    pub(crate) fn new(target: Target, refusal: Refusal) -> Self {
        let fault = Fault::new(FaultKind::CircuitOpen);
        Self {
            target,
            state: refusal.state,
            fault: match refusal.retry_after {
                Some(after) => fault.with_retry_after(after),
                None => fault,
            },
        }
    }

    /// Where the call was going.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// What the breaker was doing: open, forced open, or half-open with every probe's place taken.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The time until the next probe may pass.
    ///
    /// `None` where an operator forced the breaker open: no time will close it. A half-open breaker cannot
    /// know when its probes report; it answers with what an interval of being open would be, or with the
    /// time after which it gives up on them, whichever is shorter.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.fault.retry_after()
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, state, .. } = self;
        write!(f, "circuit breaker of {target} is {state}")?;
        match self.retry_after() {
            Some(after) => write!(f, ", next probe in {after:?}"),
            None => Ok(()),
        }
    }
}

impl Error for Open {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.fault)
    }
}

impl Rejection for Open {}
