use std::{error::Error, fmt};

use crate::{BoxError, Fault, HasFault};

/// An error with its fault beside it, for a leaf whose errors have sources of their own.
///
/// A [`Fault`] is the end of a chain of sources, so an error that named one as its source would hide what
/// lies below. This stands in the chain instead: [`Fault::find`] knows it, and the chain goes on.
///
/// ```
/// use tower_bedrock_core::{Classified, Fault, FaultKind};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("no answer from Bedrock")]
/// struct MyError(#[source] Classified);
///
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let error = MyError(Classified::new(Fault::new(FaultKind::Transport), refused));
/// assert_eq!(Fault::find(&error).unwrap().kind(), FaultKind::Transport);
/// ```
///
/// `Debug` shows the fault and not the source: what a client library prints there may hold a body.
pub struct Classified {
    fault: Fault,
    source: BoxError,
}

impl Classified {
    /// An error and the fault it amounts to.
    pub fn new(fault: Fault, source: impl Into<BoxError>) -> Self {
        Self {
            fault,
            source: source.into(),
        }
    }

    /// The error.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.source.as_ref()
    }

    /// The error, out of its envelope.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        self.source
    }
}

impl HasFault for Classified {
    fn fault(&self) -> Fault {
        self.fault
    }
}

impl fmt::Display for Classified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl fmt::Debug for Classified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classified")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl Error for Classified {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}
