//! Errors as Bedrock writes them on the wire.

use std::time::Duration;

use axum::{
    Json,
    response::{Html, IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{RETRY_AFTER, SERVER},
};
use serde_json::{Value, json};

use crate::{Exception, ServiceError, Simulator};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// What follows the exception's name in the header that carries it.
const ERROR_NAMESPACE: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";

/// What a model answers that fails; Bedrock passes it on beside its own status.
const ORIGINAL_STATUS: u16 = 500;

/// An error as an HTTP response. `model` is the id as called.
pub(super) fn response(error: &ServiceError, model: &str, simulator: &Simulator) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(body(error, model))).into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(format!("{}:{ERROR_NAMESPACE}", error.exception())) {
        headers.insert(ERROR_TYPE, value);
    }
    if let Some(after) = error.retry_after() {
        headers.insert(RETRY_AFTER, whole_seconds(simulator.real(after)).into());
    }
    response
}

/// The JSON that an error carries, in a response and in the frame of a stream.
pub(super) fn body(error: &ServiceError, model: &str) -> Value {
    let message = error.message();
    match error.exception() {
        Exception::ModelError => json!({
            "message": message,
            "originalStatusCode": ORIGINAL_STATUS,
            "resourceName": model,
        }),
        Exception::ModelStreamError => json!({
            "message": message,
            "originalStatusCode": ORIGINAL_STATUS,
            "originalMessage": message,
        }),
        // Not AWS's but the model provider's own.
        Exception::Overloaded => json!({
            "type": "error",
            "error": { "type": error.exception().name(), "message": message },
            "message": message,
        }),
        _ => json!({ "message": message }),
    }
}

/// The page of a load balancer that reached no service.
pub(super) fn html_503(retry_after: Option<Duration>, simulator: &Simulator) -> Response {
    const PAGE: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n\
        <body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n\
        <hr><center>simulated by bedrock-sim</center>\r\n</body>\r\n</html>\r\n";
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Html(PAGE)).into_response();
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("awselb/2.0"));
    if let Some(after) = retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(simulator.real(after)).into());
    }
    response
}

/// `Retry-After` counts whole seconds; rounded up, so that nobody comes back too early.
fn whole_seconds(after: Duration) -> u64 {
    after
        .as_secs()
        .saturating_add(u64::from(after.subsec_nanos() > 0))
}
