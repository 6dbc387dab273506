//! What Bedrock is told of the trace that a call is part of.

use aws_sdk_bedrockruntime::operation::converse::ConverseInput;
use opentelemetry::{
    propagation::TextMapCompositePropagator,
    trace::{SpanContext, TraceContextExt, TracerProvider},
};
use opentelemetry_aws::trace::{XrayIdGenerator, XrayPropagator};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tower_bedrock_service::BedrockService;
use tracing::{Instrument, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt};

use crate::{ask, aws_config, converse, server::Server};

fn service(server: &Server) -> BedrockService {
    let both = TextMapCompositePropagator::new(vec![
        Box::new(XrayPropagator::new()),
        Box::new(TraceContextPropagator::new()),
    ]);
    let config = aws_config().endpoint_url(server.url()).build();
    let builder = BedrockService::builder().trace_propagator(both);
    builder.build(&config).unwrap()
}

#[tokio::test]
async fn a_call_tells_the_span_that_it_is_made_in() {
    let provider = SdkTracerProvider::builder()
        .with_id_generator(XrayIdGenerator::default())
        .build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // The SDK has spans of its own, which nobody here exports.
    let ours = Targets::new().with_target(module_path!(), tracing::Level::INFO);
    let subscriber = tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink))
        .with(tracing_subscriber::Layer::with_filter(spans, ours));
    let _subscriber = tracing::subscriber::set_default(subscriber);

    let server = Server::healthy().await;
    let span = info_span!("attempt");
    let context = span.context();
    let of_span: SpanContext = context.span().span_context().clone();
    ask(&service(&server), converse())
        .instrument(span)
        .await
        .unwrap();

    let request = server.only_request();
    let (trace, span) = (of_span.trace_id().to_string(), of_span.span_id());
    assert_eq!(
        request.headers["traceparent"],
        format!("00-{trace}-{span}-01")
    );
    assert_eq!(
        request.headers["x-amzn-trace-id"],
        format!(
            "Root=1-{}-{};Parent={span};Sampled=1",
            &trace[..8],
            &trace[8..]
        )
    );
    assert!(!request.headers.contains_key("tracestate"));
    let authorization = &request.headers["authorization"];
    assert!(!authorization.contains("trace"), "{authorization}");
}

#[tokio::test]
async fn without_a_span_there_is_nothing_to_tell() {
    let server = Server::healthy().await;
    let input: ConverseInput = converse();
    ask(&service(&server), input).await.unwrap();
    let request = server.only_request();
    assert!(!request.headers.keys().any(|name| name.contains("trace")));
}
