//! What is told through `tracing`: never a body, nor the message of an error, which may quote one.

use tokio::time::Duration;
use tower_bedrock_core::GaveUp;
use tracing::{debug, warn};

use crate::{Decision, Failure};

/// With a delay if it is tried again, and a cause if it might have been.
pub(crate) fn attempt_failed(failure: &Failure<'_>, decision: Decision) {
    let (delay, gave_up) = match decision {
        Decision::RetryIn(delay) => (Some(delay), None),
        Decision::GiveUp(why) => (None, Some(why.as_str())),
        Decision::Stop => (None, None),
    };
    macro_rules! tell {
        ($level:ident, $message:literal) => {
            $level!(
                bedrock.target = %failure.target,
                exception = failure.fault.kind().exception(),
                fault = failure.fault.kind().as_str(),
                attempt = i64::from(failure.attempt),
                delay_ms = delay.map(milliseconds),
                gave_up,
                $message
            )
        };
    }
    if failure.fault.kind().is_local() {
        // Nothing was sent. A breaker that is open would fill the log.
        tell!(debug, "attempt turned away");
    } else {
        tell!(warn, "attempt failed");
    }
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

/// A number, so that log queries can add them up; signed, as OpenTelemetry's are.
fn milliseconds(delay: Duration) -> i64 {
    i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
}
