//! What clients get: Bedrock's answers as they are, and everything else in the same form.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use tower_bedrock_core::{Fault, FaultKind};
use tracing::Span;

use crate::{
    in_span::InSpan,
    upstream::{Answer, Cause, RawBody, RawResponse, UpstreamError},
    wire_error::{WireError, in_seconds},
};

/// An answer of Bedrock's.
pub(crate) fn answer(response: RawResponse, span: &Span) -> Response {
    let (status, headers, body) = response.into_parts();
    let body = match body {
        RawBody::Whole(bytes) => Body::from(bytes),
        RawBody::Rest(rest) => Body::new(rest),
        RawBody::Events(events) => Body::new(InSpan::new(events, span.clone())),
    };
    with_head(status, headers, body)
}

/// An error of the call.
pub(crate) fn error(error: UpstreamError) -> Response {
    let (cause, fault) = error.into_cause();
    match cause {
        // A load balancer's page is not what SDKs read.
        Cause::Answer(_) if fault.kind() == FaultKind::Transport => unavailable(fault),
        Cause::Answer(Answer {
            status,
            headers,
            body,
        }) => {
            let mut response = with_head(status, headers, Body::from(body));
            // In the form that all clients know, whichever form it came in.
            if let Some(after) = fault.retry_after() {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, in_seconds(after));
            }
            response
        }
        Cause::Exception(exception) => WireError::new(
            exception.status(),
            exception.type_name(),
            exception.message().to_owned(),
        )
        .with_retry_after(fault.retry_after())
        .into_response(),
        Cause::NoAnswer(what, _) => no_answer(what, fault).into_response(),
        Cause::Rejected(rejection) => rejected(&rejection.to_string(), fault).into_response(),
    }
}

fn with_head(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn unavailable(fault: Fault) -> Response {
    WireError::unavailable("Bedrock is unable to process your request.")
        .with_retry_after(fault.retry_after())
        .into_response()
}

/// The source of the error is for the log: it may name addresses that are none of the client's business.
fn no_answer(what: &'static str, fault: Fault) -> WireError {
    let message = format!("The call was not answered: {what}.");
    match fault.kind() {
        FaultKind::Timeout => WireError::new(
            StatusCode::REQUEST_TIMEOUT,
            "ModelTimeoutException",
            message,
        ),
        FaultKind::Validation => WireError::validation(message),
        _ => WireError::unavailable(message),
    }
}

/// A policy turned the call away, in words of its own.
fn rejected(message: &str, fault: Fault) -> WireError {
    let (status, exception) = match fault.kind() {
        FaultKind::QuotaExhausted => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
        FaultKind::Timeout | FaultKind::DeadlineExceeded => {
            (StatusCode::REQUEST_TIMEOUT, "ModelTimeoutException")
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableException",
        ),
    };
    WireError::new(status, exception, message.to_owned()).with_retry_after(fault.retry_after())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire_error::ERROR_TYPE;

    fn wire(error: UpstreamError) -> (u16, String, Option<String>) {
        let response = super::error(error);
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let exception = header(ERROR_TYPE).unwrap();
        (response.status().as_u16(), exception, header("retry-after"))
    }

    #[test]
    fn a_policys_rejection_has_the_form_of_what_bedrock_would_say() {
        for (kind, status, exception) in [
            (FaultKind::QuotaExhausted, 429, "ThrottlingException"),
            (FaultKind::CircuitOpen, 503, "ServiceUnavailableException"),
            (FaultKind::NoHeadroom, 503, "ServiceUnavailableException"),
            (FaultKind::DeadlineExceeded, 408, "ModelTimeoutException"),
        ] {
            let fault = Fault::new(kind).with_retry_after(Duration::from_millis(1_500));
            let expected = (status, exception.to_owned(), Some("2".to_owned()));
            assert_eq!(wire(fault.into()), expected, "{kind}");
        }
    }

    #[test]
    fn no_answer_is_a_service_that_is_not_there_or_takes_too_long() {
        for (kind, status, exception) in [
            (FaultKind::Transport, 503, "ServiceUnavailableException"),
            (FaultKind::Unavailable, 503, "ServiceUnavailableException"),
            (FaultKind::Timeout, 408, "ModelTimeoutException"),
        ] {
            let error = UpstreamError::no_answer("it did not answer", "why", kind);
            assert_eq!(wire(error), (status, exception.to_owned(), None), "{kind}");
        }
    }
}
