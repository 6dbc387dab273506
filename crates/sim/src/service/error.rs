use std::{error::Error, fmt};

use tower_bedrock_core::{Fault, FaultKind, HasFault, History, Rejection};

use crate::{Denied, Disruption, ServiceError, Simulator};

/// The error of the in-process face: an error of the simulated service's, a broken connection, or the
/// rejection of a policy in front of it.
pub struct SimulatedError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    cause: Cause,
    fault: Fault,
    history: History,
}

#[derive(Debug)]
enum Cause {
    Service(ServiceError),
    Transport(&'static str),
    Rejected(Box<dyn Rejection>),
}

impl SimulatedError {
    /// The service's error, where it is one.
    #[must_use]
    pub const fn service_error(&self) -> Option<&ServiceError> {
        match &self.0.cause {
            Cause::Service(error) => Some(error),
            Cause::Transport(_) | Cause::Rejected(_) => None,
        }
    }

    pub(super) fn denied(denied: Denied, simulator: &Simulator) -> Self {
        match denied {
            Denied::Error(error) => Self::service(error, simulator),
            Denied::Html503 { retry_after } => {
                let fault = Fault::new(FaultKind::Transport);
                let fault = match retry_after {
                    Some(after) => fault.with_retry_after(simulator.real(after)),
                    None => fault,
                };
                Self::new(Cause::Transport("503 with a load balancer's page"), fault)
            }
            Denied::Reset => Self::transport("connection reset"),
        }
    }

    /// `None` for what never shows.
    pub(super) fn disrupted(disruption: &Disruption, simulator: &Simulator) -> Option<Self> {
        Some(match disruption {
            Disruption::Exception(error) => Self::service(error.clone(), simulator),
            Disruption::Reset => Self::transport("connection reset"),
            Disruption::Corrupt => Self::transport("frame with a bad checksum"),
            Disruption::Hang => return None,
        })
    }

    fn service(error: ServiceError, simulator: &Simulator) -> Self {
        let fault = error.fault();
        // What the service says in its time, a client hears in its own.
        let fault = match fault.retry_after() {
            Some(after) => fault.with_retry_after(simulator.real(after)),
            None => fault,
        };
        Self::new(Cause::Service(error), fault)
    }

    fn transport(what: &'static str) -> Self {
        Self::new(Cause::Transport(what), Fault::new(FaultKind::Transport))
    }

    fn new(cause: Cause, fault: Fault) -> Self {
        Self(Box::new(Inner {
            cause,
            fault,
            history: History::default(),
        }))
    }
}

impl<R: Rejection> From<R> for SimulatedError {
    fn from(rejection: R) -> Self {
        let fault = Fault::find(&rejection).unwrap_or(Fault::new(FaultKind::Unknown));
        Self::new(Cause::Rejected(Box::new(rejection)), fault)
    }
}

impl HasFault for SimulatedError {
    fn fault(&self) -> Fault {
        self.0.fault
    }

    fn history(&self) -> Option<&History> {
        Some(&self.0.history)
    }

    fn update_history(mut self, update: impl FnOnce(&mut History)) -> Self {
        update(&mut self.0.history);
        self
    }
}

impl fmt::Display for SimulatedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Service(error) => error.fmt(f),
            Cause::Transport(what) => f.write_str(what),
            Cause::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl fmt::Debug for SimulatedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedError")
            .field("cause", &self.0.cause)
            .field("fault", &self.0.fault)
            .field("history", &self.0.history)
            .finish()
    }
}

/// The fault ends the chain, so that it is found in a box as well.
impl Error for SimulatedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.cause {
            Cause::Rejected(rejection) => Some(rejection.as_ref()),
            Cause::Service(_) | Cause::Transport(_) => Some(&self.0.fault),
        }
    }
}
