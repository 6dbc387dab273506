//! What is told through `tracing`: never a body, nor the message of an error, which may quote one.

use tower_bedrock_core::GaveUp;
use tracing::debug;

use crate::{Decision, Failure};

pub(crate) fn attempt_failed(failure: &Failure<'_>, decision: Decision) {
    let (delay, gave_up) = match decision {
        Decision::RetryIn(delay) => (Some(delay), None),
        Decision::GiveUp(why) => (None, Some(why.as_str())),
        Decision::Stop => (None, None),
    };
    debug!(
        bedrock.target = %failure.target,
        exception = failure.fault.kind().exception(),
        fault = failure.fault.kind().as_str(),
        attempt = failure.attempt,
        delay = delay.map(tracing::field::debug),
        gave_up,
        "attempt failed"
    );
}

pub(crate) fn gave_up_waiting(failure: &Failure<'_>, why: GaveUp) {
    debug!(
        bedrock.target = %failure.target,
        fault = failure.fault.kind().as_str(),
        attempt = failure.attempt,
        gave_up = why.as_str(),
        "gave up waiting to retry"
    );
}
