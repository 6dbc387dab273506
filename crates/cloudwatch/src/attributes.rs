//! The names of span attributes, in one place because they still move.
//!
//! `gen_ai.*` as in OpenTelemetry's semantic conventions for generative AI, version 1.38.0 (status:
//! development). `tracing` wants names in the source, so the macro below is the only place that has them.

use tower_bedrock_core::{Completion, Demand, Fault, History, Target, TokenUsage};
use tracing::{
    Span,
    field::{Empty, display},
};

/// The provider, as the conventions name Amazon Bedrock.
const PROVIDER: &str = "aws.bedrock";

macro_rules! span {
    ($name:literal, $kind:literal, $target:expr, $demand:expr, $attempt:expr) => {{
        let (target, demand): (&Target, Demand) = ($target, $demand);
        tracing::info_span!(
            $name,
            otel.name = %format_args!("chat {}", target.model()),
            otel.kind = $kind,
            otel.status_code = Empty,
            gen_ai.provider.name = PROVIDER,
            gen_ai.operation.name = "chat",
            gen_ai.request.model = %target.model(),
            gen_ai.request.max_tokens = demand.max_output_tokens().map(integer),
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            cloud.region = %target.region(),
            // The X-Ray annotation; list it among the exporter's indexed attributes.
            model_id = %target.model(),
            bedrock.attempt = $attempt,
            bedrock.attempts = Empty,
            bedrock.degraded = Empty,
            bedrock.time_to_first_token_ms = Empty,
            "error.type" = Empty,
        )
    }};
}
/// A span around what the application asked for.
pub(crate) fn request_span(target: &Target, demand: Demand) -> Span {
    span!("bedrock.request", "internal", target, demand, Empty)
}

/// A span around one call to Bedrock; `attempt` is its number where a policy counts them.
pub(crate) fn attempt_span(target: &Target, demand: Demand, attempt: Option<u32>) -> Span {
    let attempt = attempt.map(i64::from);
    span!("bedrock.attempt", "client", target, demand, attempt)
}

pub(crate) fn record_cost(span: &Span, completion: &Completion) {
    if let Some(usage) = &completion.usage {
        record_usage(span, usage);
    }
    if let Some(after) = completion.time_to_first_token {
        span.record(
            "bedrock.time_to_first_token_ms",
            after.as_secs_f64() * 1_000.0,
        );
    }
}

/// OpenTelemetry's integers are signed, and its layer for `tracing` makes a text of one that is not.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Bedrock reports cached input apart; the conventions count it in.
fn record_usage(span: &Span, usage: &TokenUsage) {
    span.record("gen_ai.usage.input_tokens", integer(usage.total_input()));
    span.record("gen_ai.usage.output_tokens", integer(usage.output));
}

pub(crate) fn record_fault(span: &Span, fault: Fault) {
    let kind = fault.kind();
    span.record("error.type", kind.exception().unwrap_or(kind.as_str()));
    span.record("otel.status_code", "ERROR");
}

pub(crate) fn record_cancelled(span: &Span) {
    span.record("error.type", "cancelled");
}

pub(crate) fn record_history(span: &Span, history: Option<&History>) {
    let Some(history) = history else { return };
    if history.attempts > 0 {
        span.record("bedrock.attempts", i64::from(history.attempts));
    }
    if let Some(served_by) = &history.served_by {
        span.record("gen_ai.response.model", display(served_by.model()));
    }
    if history.degraded.is_some() {
        span.record("bedrock.degraded", true);
    }
}
