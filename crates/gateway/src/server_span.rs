//! The span of a request, with OpenTelemetry's attributes for HTTP servers: the outermost of a call's.

use http::{Method, StatusCode};
use opentelemetry::trace::TraceContextExt;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::request_id::RequestId;

/// It lasts as long as the spans in it, and so to the end of a stream. Without `traces` it has the id alone, which is
/// what logs show.
pub(crate) fn new(id: &RequestId, method: &Method, traces: bool) -> Span {
    if !traces {
        return tracing::info_span!("request", id = id.as_str());
    }
    tracing::info_span!(
        "request",
        id = id.as_str(),
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = known(method),
        http.response.status_code = Empty,
    )
}

/// Methods that OpenTelemetry knows, and its word for others: clients may invent them.
fn known(method: &Method) -> &str {
    match *method {
        Method::CONNECT
        | Method::DELETE
        | Method::GET
        | Method::HEAD
        | Method::OPTIONS
        | Method::PATCH
        | Method::POST
        | Method::PUT
        | Method::TRACE => method.as_str(),
        _ => "_OTHER",
    }
}

/// Names the span that is current after what is asked for. Paths have models' names in them, too many to group by.
pub(crate) fn routed(operation: &'static str) {
    let span = Span::current();
    span.record("otel.name", operation);
    // One that has begun takes a name in no other way.
    span.context().span().update_name(operation);
}

pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}
