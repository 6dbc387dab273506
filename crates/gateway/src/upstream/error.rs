use std::{error::Error, fmt, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock_core::{
    BoxError, ErrorResponse, Fault, FaultKind, HasFault, History, Rejection, retry_after,
};

use super::exception::Exception;
use crate::{failure::log_failure, wire_error::ERROR_TYPE};

/// Why a call has no answer to give to the client, or one that is an error.
///
/// Policies see the [`Fault`]; the client gets Bedrock's own error exactly as it was received. Rejections
/// of any policy convert into it.
///
/// `Debug` and `Display` show kinds and sizes, not bodies.
pub struct UpstreamError(Box<Inner>);

struct Inner {
    cause: Cause,
    fault: Fault,
    history: History,
}

/// What an [`UpstreamError`] is made of.
pub(crate) enum Cause {
    /// Bedrock answered with an error.
    Answer(Answer),
    /// Bedrock sent an exception inside a stream before its first content.
    Exception(Exception),
    /// There is no answer, or none that can be read: what failed, and why.
    NoAnswer(&'static str, BoxError),
    /// A policy on this side turned the call away.
    Rejected(Box<dyn Rejection>),
}

/// An error as it came over the wire.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl UpstreamError {
    /// Bedrock answered with an error.
    pub(super) fn answer(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let body_says: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
        let fault = ErrorResponse {
            status: Some(status.as_u16()),
            exception: header(ERROR_TYPE).or_else(|| body_says.exception()),
            message: body_says.message(),
            retry_after: retry_after(header, SystemTime::now()),
        }
        .classify();
        Self::new(
            Cause::Answer(Answer {
                status,
                headers,
                body,
            }),
            fault,
        )
    }

    /// Bedrock sent an exception before the first content of a stream.
    pub(super) fn exception(exception: Exception) -> Self {
        let fault = exception.fault();
        Self::new(Cause::Exception(exception), fault)
    }

    /// There is no answer: `what` failed because of `error`.
    pub(crate) fn no_answer(
        what: &'static str,
        error: impl Into<BoxError>,
        kind: FaultKind,
    ) -> Self {
        Self::new(Cause::NoAnswer(what, error.into()), Fault::new(kind))
    }

    fn new(cause: Cause, fault: Fault) -> Self {
        Self(Box::new(Inner {
            cause,
            fault,
            history: History::default(),
        }))
    }

    /// Says when it is worth coming back, where Bedrock has not.
    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.fault = self.0.fault.with_retry_after(after);
        self
    }

    pub(crate) fn into_cause(self) -> (Cause, Fault) {
        (self.0.cause, self.0.fault)
    }

    /// Logs why there is no answer, where there is none: the chain of errors below, which policies do not see.
    pub(super) fn log_causes(&self) {
        if let Cause::NoAnswer(..) = self.0.cause {
            log_failure(self);
        }
    }

    /// The status of Bedrock's answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match &self.0.cause {
            Cause::Answer(answer) => Some(answer.status),
            _ => None,
        }
    }

    /// The body of Bedrock's answer, where there was one.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        match &self.0.cause {
            Cause::Answer(answer) => Some(&answer.body),
            _ => None,
        }
    }
}

/// What the body of an error says. AWS services and model providers disagree on the names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "__type")]
    exception: Option<String>,
    error: Option<ProviderError>,
}

/// `{"type": "error", "error": {"type": "overloaded_error", "message": ...}}`
#[derive(Deserialize)]
struct ProviderError {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
}

impl ErrorBody {
    fn exception(&self) -> Option<&str> {
        let provider = self.error.as_ref();
        self.exception
            .as_deref()
            .or_else(|| provider.and_then(|error| error.kind.as_deref()))
    }

    fn message(&self) -> &str {
        let provider = self.error.as_ref();
        self.message
            .as_deref()
            .or_else(|| provider.and_then(|error| error.message.as_deref()))
            .unwrap_or_default()
    }
}

// === what policies ask ===

impl HasFault for UpstreamError {
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

impl<R: Rejection> From<R> for UpstreamError {
    fn from(rejection: R) -> Self {
        let fault = Fault::find(&rejection).unwrap_or(Fault::new(FaultKind::Unknown));
        Self::new(Cause::Rejected(Box::new(rejection)), fault)
    }
}

// === what people read ===

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Answer(answer) => write!(f, "{} with status {}", self.0.fault, answer.status),
            Cause::Exception(exception) => {
                write!(f, "{} in a stream", exception.type_name())
            }
            Cause::NoAnswer(what, _) => f.write_str(what),
            Cause::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl fmt::Debug for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("UpstreamError");
        debug.field("fault", &self.0.fault);
        match &self.0.cause {
            Cause::Answer(answer) => debug
                .field("status", &answer.status)
                .field("body_bytes", &answer.body.len()),
            Cause::Exception(exception) => debug.field("exception", &exception.type_name()),
            Cause::NoAnswer(what, error) => debug.field("what", what).field("error", error),
            Cause::Rejected(rejection) => debug.field("rejection", rejection),
        };
        debug.field("history", &self.0.history).finish()
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.cause {
            Cause::NoAnswer(_, error) => Some(error.as_ref()),
            Cause::Rejected(rejection) => rejection.source(),
            Cause::Answer(_) | Cause::Exception(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::time::Duration;

    use super::*;

    fn fault(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Fault {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        UpstreamError::answer(status, headers, body.into()).fault()
    }

    #[test]
    fn an_answer_is_classified_by_header_body_and_status() {
        let throttling = [("x-amzn-errortype", "ThrottlingException:http://x")];
        let cases = [
            (
                fault(
                    429,
                    &throttling,
                    r#"{"message":"Too many tokens per day, wait."}"#,
                ),
                FaultKind::ThrottledTokensPerDay,
            ),
            (
                fault(
                    400,
                    &[],
                    r#"{"__type":"com.amazon#AccessDeniedException","Message":"no"}"#,
                ),
                FaultKind::AccessDenied,
            ),
            (
                fault(
                    529,
                    &[],
                    r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
                ),
                FaultKind::Overloaded,
            ),
            (
                fault(503, &[], "<html>Service Unavailable</html>"),
                FaultKind::Transport,
            ),
            (fault(418, &[], ""), FaultKind::Validation),
        ];
        for (fault, kind) in cases {
            assert_eq!(fault.kind(), kind);
        }
        let after = fault(529, &[("retry-after", "7")], "").retry_after();
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_rejection_keeps_its_fault_and_the_error_its_history() {
        let error = UpstreamError::from(Fault::new(FaultKind::CircuitOpen));
        let error = error.update_history(|history| history.attempts = 2);
        assert_eq!(error.fault().kind(), FaultKind::CircuitOpen);
        assert_eq!(error.history().unwrap().attempts, 2);
    }

    #[test]
    fn neither_debug_nor_display_shows_a_body() {
        let body = Bytes::from_static(br#"{"message":"canary"}"#);
        let error = UpstreamError::answer(StatusCode::BAD_REQUEST, HeaderMap::new(), body);
        assert!(!format!("{error:?} {error}").contains("canary"));
    }
}
