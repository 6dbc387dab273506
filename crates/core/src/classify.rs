use std::time::SystemTime;

use tokio::time::Duration;

use crate::{Fault, FaultKind};

/// An error of Bedrock's as it came over the wire, to be classified.
///
/// ```
/// use tower_bedrock_core::{ErrorResponse, FaultKind};
///
/// let fault = ErrorResponse {
///     status: Some(429),
///     exception: Some("ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"),
///     message: "Too many tokens, please wait before trying again.",
///     retry_after: None,
/// }
/// .classify();
/// assert_eq!(fault.kind(), FaultKind::ThrottledTokens);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorResponse<'a> {
    /// The HTTP status; `None` for an exception inside a stream, whose status said 200 long ago.
    pub status: Option<u16>,
    /// The exception's name, in any form the wire has: `x-amzn-ErrorType` with or without its URL,
    /// `__type` with or without its namespace, a stream's `:exception-type`.
    pub exception: Option<&'a str>,
    /// The message; empty where there is none.
    pub message: &'a str,
    /// When to come back, as [`retry_after`] read it from the headers.
    pub retry_after: Option<Duration>,
}

impl ErrorResponse<'_> {
    /// What went wrong: by exception type, else by status. The message only separates flavours of one
    /// type. What neither names is [`FaultKind::Unknown`].
    #[must_use]
    pub fn classify(&self) -> Fault {
        let kind = self
            .exception
            .and_then(|name| by_exception(bare_name(name), self.message))
            .or_else(|| self.status.and_then(|status| self.by_status(status)))
            .unwrap_or(FaultKind::Unknown);
        match self.retry_after {
            Some(after) => Fault::new(kind).with_retry_after(after),
            None => Fault::new(kind),
        }
    }

    fn by_status(&self, status: u16) -> Option<FaultKind> {
        Some(match status {
            401 | 403 => FaultKind::AccessDenied,
            404 => FaultKind::ResourceNotFound,
            408 => FaultKind::ModelTimeout,
            424 => FaultKind::ModelError,
            429 => throttle(self.message),
            400..=499 => FaultKind::Validation,
            529 => FaultKind::Overloaded,
            // Bedrock names its errors. One without a name comes from something in between.
            502..=504 if self.exception.is_none() => FaultKind::Transport,
            503 => unavailable(self.message),
            500..=599 => FaultKind::Internal,
            _ => return None,
        })
    }
}

/// `Name:http://...` (a header), `com.amazon.coral.service#Name` (a body) and `Name` are one name.
fn bare_name(name: &str) -> &str {
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let name = name.rsplit_once('#').map_or(name, |(_, name)| name);
    name.trim()
}

/// Streams write names in lower camel case, so case is ignored.
fn by_exception(name: &str, message: &str) -> Option<FaultKind> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    Some(
        if is("ThrottlingException") || is("TooManyRequestsException") {
            throttle(message)
        } else if is("ServiceUnavailableException") {
            unavailable(message)
        } else if is("ModelNotReadyException") {
            FaultKind::ModelNotReady
        } else if is("InternalServerException") || is("InternalFailure") {
            FaultKind::Internal
        } else if is("overloaded_error") {
            FaultKind::Overloaded
        } else if is("ModelTimeoutException") {
            FaultKind::ModelTimeout
        } else if is("ModelErrorException") {
            FaultKind::ModelError
        } else if is("ModelStreamErrorException") {
            FaultKind::ModelStreamError
        } else if is("ValidationException") {
            FaultKind::Validation
        } else if is("AccessDeniedException")
            || is("UnrecognizedClientException")
            || is("InvalidSignatureException")
            || is("ExpiredTokenException")
            || is("MissingAuthenticationTokenException")
            || is("IncompleteSignatureException")
        {
            FaultKind::AccessDenied
        } else if is("ResourceNotFoundException") || is("UnknownOperationException") {
            FaultKind::ResourceNotFound
        } else if is("ServiceQuotaExceededException") {
            FaultKind::ServiceQuotaExceeded
        } else {
            return None;
        },
    )
}

fn throttle(message: &str) -> FaultKind {
    let says = |words: &str| contains_ignore_case(message, words);
    // "Too many tokens per day" also says "too many tokens": the longer one goes first.
    if says("tokens per day") {
        FaultKind::ThrottledTokensPerDay
    } else if says("too many tokens") {
        FaultKind::ThrottledTokens
    } else if says("too many requests") || says("request rate") {
        FaultKind::ThrottledRequests
    } else if says("overloaded") {
        FaultKind::ModelOverloaded
    } else {
        FaultKind::Throttled
    }
}

fn unavailable(message: &str) -> FaultKind {
    if contains_ignore_case(message, "too many connections") {
        FaultKind::TooManyConnections
    } else {
        FaultKind::Unavailable
    }
}

fn contains_ignore_case(text: &str, words: &str) -> bool {
    text.as_bytes()
        .windows(words.len())
        .any(|window| window.eq_ignore_ascii_case(words.as_bytes()))
}

/// When to come back, from the headers of an answer received at `now`.
///
/// Reads `x-amz-retry-after` (milliseconds) and `Retry-After` (seconds, or an HTTP date); the longer one
/// counts where both are there. A date is measured against the answer's own `Date`, so that a skewed clock
/// on this side does no harm, else against `now`. What cannot be read is ignored. Not capped.
///
/// `header` looks a header up by its name in lower case:
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bedrock_core::retry_after;
///
/// let header = |name: &str| (name == "retry-after").then_some("90");
/// assert_eq!(retry_after(header, SystemTime::now()), Some(Duration::from_secs(90)));
/// ```
pub fn retry_after<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    now: SystemTime,
) -> Option<Duration> {
    let number = |name| header(name).and_then(|value| value.trim().parse::<u64>().ok());
    let milliseconds = number("x-amz-retry-after").map(Duration::from_millis);
    let seconds = number("retry-after").map(Duration::from_secs).or_else(|| {
        let date = |name| header(name).and_then(|value| httpdate::parse_http_date(value).ok());
        let until = date("retry-after")?;
        // A date that has passed says: now.
        Some(
            until
                .duration_since(date("date").unwrap_or(now))
                .unwrap_or_default(),
        )
    });
    milliseconds.max(seconds)
}
