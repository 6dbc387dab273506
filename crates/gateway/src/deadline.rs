//! How long a client says that it will wait.

use http::{HeaderMap, HeaderName};
use tokio::time::{Duration, Instant};
use tower_bedrock_core::Context;

use crate::wire_error::WireError;

/// Whole seconds from when the request is received.
const TIMEOUT: HeaderName = HeaderName::from_static("x-tower-bedrock-timeout");
/// Longer than anybody waits.
const MAX_SECONDS: u64 = 86_400;

/// Gives a call the deadline that its headers ask for, if they do.
///
/// # Errors
///
/// A `ValidationException` for what is no such time.
pub(crate) fn limit(
    context: &mut Context,
    headers: &HeaderMap,
    now: Instant,
) -> Result<(), WireError> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(());
    };
    let seconds = value.to_str().ok().and_then(|text| text.parse().ok());
    match seconds.filter(|seconds| (1..=MAX_SECONDS).contains(seconds)) {
        Some(seconds) => {
            context.limit_deadline(now + Duration::from_secs(seconds));
            Ok(())
        }
        None => Err(WireError::validation(format!(
            "{TIMEOUT} is not valid: expected whole seconds, 1 to {MAX_SECONDS}."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whole_seconds_from_now() {
        let now = Instant::now();
        for (value, expected) in [
            ("1", Some(1)),
            ("86400", Some(86_400)),
            ("0", None),
            ("86401", None),
            ("-1", None),
            ("1.5", None),
            ("99999999999999999999", None),
            ("", None),
            ("soon", None),
        ] {
            let mut context = Context::new();
            let headers = [(TIMEOUT, value.parse().unwrap())].into_iter().collect();
            let result = limit(&mut context, &headers, now);
            let left = context.time_left(now).map(|left| left.as_secs());
            assert_eq!(
                (result.is_ok(), left),
                (expected.is_some(), expected),
                "{value}"
            );
        }
        let mut context = Context::new();
        assert!(limit(&mut context, &HeaderMap::new(), now).is_ok());
        assert_eq!(context.deadline(), None);
    }
}
