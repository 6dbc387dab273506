//! Errors in the form that Bedrock gives its own, so that SDKs raise their typed exceptions.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use tokio::time::Duration;

pub(crate) const ERROR_TYPE: &str = "x-amzn-errortype";
pub(crate) const REQUEST_ID: &str = "x-amzn-requestid";

/// An error of the gateway's own, in Bedrock's wire form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireError {
    status: StatusCode,
    exception: Cow<'static, str>,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl WireError {
    pub(crate) fn new(
        status: StatusCode,
        exception: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            exception: exception.into(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// The client sent what cannot be sent on.
    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    /// Bedrock, or the gateway, cannot serve the call now.
    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableException",
            message,
        )
    }

    /// The client may not do this.
    pub(crate) fn access_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    /// The client's key is not known.
    pub(crate) fn unrecognized_client() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "UnrecognizedClientException",
            "The key sent as a bearer token is not valid.",
        )
    }

    /// The path is none of Bedrock's.
    pub(crate) fn unknown_operation() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            "No operation of Bedrock's runtime has this path.",
        )
    }

    /// Says when it is worth coming back.
    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }
}

#[cfg(test)]
impl WireError {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn exception(&self) -> &str {
        &self.exception
    }
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
}

impl IntoResponse for WireError {
    fn into_response(self) -> Response {
        let body = Body {
            message: &self.message,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(exception) = HeaderValue::from_str(&self.exception) {
            headers.insert(ERROR_TYPE, exception);
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, in_seconds(after));
        }
        response
    }
}

/// A `Retry-After`. Rounded up: a client that comes back a little early is turned away again.
pub(crate) fn in_seconds(after: Duration) -> HeaderValue {
    let part = u64::from(after.subsec_nanos() > 0);
    HeaderValue::from(after.as_secs().saturating_add(part))
}
