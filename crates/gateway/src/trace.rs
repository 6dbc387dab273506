//! Traces across HTTP: whose a request is, and what is told of it upstream.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_aws::trace::XrayPropagator;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// W3C's companion of `traceparent`, which is written even where it has nothing to say.
const TRACE_STATE: &str = "tracestate";

/// What traces are told by in headers: X-Ray's `X-Amzn-Trace-Id`, and W3C's `traceparent`. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct TraceHeaders(Arc<TextMapCompositePropagator>);

impl TraceHeaders {
    pub(crate) fn new() -> Self {
        // The last that finds its header wins.
        Self(Arc::new(TextMapCompositePropagator::new(vec![
            Box::new(XrayPropagator::new()),
            Box::new(TraceContextPropagator::new()),
        ])))
    }

    /// Has a span that has just been made continue the trace that these headers are of, if they are of any.
    pub(crate) fn continue_in(&self, span: &Span, headers: &HeaderMap) {
        let caller = self.0.extract(&HeaderExtractor(headers));
        // It fails where nobody listens to the span.
        let _ = span.set_parent(caller);
    }

    /// Says that what these headers go out with is part of a span. Where nobody listens to it they stay as they are.
    pub(crate) fn write(&self, span: &Span, headers: &mut HeaderMap) {
        let context = span.context();
        self.0
            .inject_context(&context, &mut HeaderInjector(headers));
        if headers
            .get(TRACE_STATE)
            .is_some_and(|state| state.is_empty())
        {
            headers.remove(TRACE_STATE);
        }
    }
}
