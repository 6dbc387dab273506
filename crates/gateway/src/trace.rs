//! Traces across HTTP: whose a request is, and what is told of it upstream.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{Link, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId},
};
use opentelemetry_aws::trace::{XrayIdGenerator, XrayPropagator};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, Sampler, SamplingResult, ShouldSample},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// W3C's companion of `traceparent`, which is written even where it has nothing to say.
const TRACE_STATE: &str = "tracestate";

/// X-Ray's `Sampled=?`, and a header that does not say: as [`XrayPropagator`] tells of it.
const DEFERRED: TraceFlags = TraceFlags::new(0x02);

/// In the context of a caller that leaves it to us whether its trace is sampled.
#[derive(Clone, Copy, Debug)]
struct Undecided;

/// Samples what callers have said is sampled, and of what is left to us a share of the traces.
#[derive(Clone, Debug)]
pub(crate) struct TraceSampler {
    share: Sampler,
    as_callers_say: Sampler,
}

impl TraceSampler {
    pub(crate) fn new(ratio: f64) -> Self {
        let share = Sampler::TraceIdRatioBased(ratio);
        Self {
            as_callers_say: Sampler::ParentBased(Box::new(share.clone())),
            share,
        }
    }
}

impl ShouldSample for TraceSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_undecided = parent.is_some_and(|parent| parent.get::<Undecided>().is_some());
        // The share is of trace ids, so that what is decided for one span of a trace is decided for all.
        let sampler = if is_undecided {
            &self.share
        } else {
            &self.as_callers_say
        };
        sampler.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

/// Makes ids whose first half is the time, as X-Ray wants it; and takes that of a caller's trace that is to be gone on
/// with, where the caller has no span that could be the parent.
#[derive(Debug, Default)]
pub(crate) struct TraceIds(XrayIdGenerator);

impl IdGenerator for TraceIds {
    fn new_trace_id(&self) -> TraceId {
        match Context::map_current(|current| current.span().span_context().trace_id()) {
            TraceId::INVALID => self.0.new_trace_id(),
            of_caller => of_caller,
        }
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

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
    ///
    /// Load balancers name a trace that has no span yet (`Root` alone). There is no parent to set then, and the span
    /// is begun at once, while [`TraceIds`] can see which trace it is to be in.
    pub(crate) fn continue_in(&self, span: &Span, headers: &HeaderMap) {
        let mut caller = self.0.extract(&HeaderExtractor(headers));
        let of_caller = caller.span().span_context().clone();
        if of_caller.trace_flags() & DEFERRED == DEFERRED {
            // Our spans would inherit the flag, and Bedrock be asked what is decided here.
            let undecided = SpanContext::new(
                of_caller.trace_id(),
                of_caller.span_id(),
                TraceFlags::default(),
                of_caller.is_remote(),
                of_caller.trace_state().clone(),
            );
            caller = caller
                .with_remote_span_context(undecided)
                .with_value(Undecided);
        }
        let current = caller.clone().attach();
        // It fails where nobody listens to the span.
        if span.set_parent(caller).is_ok() {
            span.context();
        }
        drop(current);
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
