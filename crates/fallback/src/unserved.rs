use tower_bedrock_core::{Fault, Rejection};

/// No hop of the chain served the call, and the last of them left no error of its own: it was cancelled for
/// being slow, left out, or never asked because the deadline had passed.
///
/// Its source is the [`Fault`] of the last hop; every hop's is in the error's
/// [`History`](tower_bedrock_core::History).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no target of the fallback chain served the call")]
pub struct Unserved(#[source] pub(crate) Fault);

impl Rejection for Unserved {}
