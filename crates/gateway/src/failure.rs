//! Why a call has no answer, or not a whole one, for the log.

use std::error::Error;

use tower_bedrock_core::HasFault;

/// Logs a failure: its fault, and the chain of its errors, which name no body.
pub(crate) fn log_failure<E: HasFault + Error>(error: &E) {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    tracing::warn!(
        fault = error.fault().kind().as_str(),
        causes = causes.join(": "),
        "not answered: {error}"
    );
}
