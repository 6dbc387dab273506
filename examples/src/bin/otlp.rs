//! Traces: POST a prompt, and its spans go to an OpenTelemetry collector over OTLP/HTTP, or to the terminal where
//! none is named. They continue the caller's trace, in W3C's form or X-Ray's.
//!
//! ```console
//! $ cargo run -p examples --bin otlp
//! $ curl -d 'Say hello.' http://127.0.0.1:3000 \
//!     -H 'traceparent: 00-6745d3c0a1b2c3d4e5f60718293a4b5c-53995c3f42cd8ad8-01'
//! $ OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run -p examples --bin otlp
//! ```
//!
//! For AWS X-Ray the collector is the CloudWatch agent or the ADOT collector; name `model_id` among its indexed
//! attributes.

use std::{env, sync::Arc};

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_bedrockruntime::{
    operation::converse::{ConverseInput, ConverseOutput},
    types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use bedrock_sim::{FaultName, FaultSpec, Simulator};
use examples::{listener, simulated_bedrock_as};
use opentelemetry::{
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::TracerProvider,
};
use opentelemetry_aws::trace::{XrayIdGenerator, XrayPropagator};
use opentelemetry_http::{
    Bytes, HeaderExtractor, HeaderInjector, HttpClient, HttpError, Request, Response,
    hyper::HyperClient,
};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData},
};
use tokio::{runtime::Handle, time::Duration};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_bedrock::{Answer, BedrockService, BoxError, Error, HasFault, Invocation, StandardStack};
use tracing::{Instrument, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

const NOVA: &str = "us.amazon.nova-lite-v1:0";

#[derive(Clone)]
struct App {
    leaf: BedrockService,
    bedrock: BoxCloneSyncService<Invocation<ConverseInput>, Answer<ConverseOutput>, Error>,
    propagator: Arc<TextMapCompositePropagator>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let provider = provider()?;
    let exported = Targets::new()
        .with_target("otlp", tracing::Level::INFO)
        .with_target("tower_bedrock", tracing::Level::INFO);
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("otlp")))
        .with(exported)
        .init();

    let simulator = Simulator::default();
    // The first attempt fails, so that there is a second to be seen.
    simulator.add_fault(FaultSpec {
        times: Some(1),
        ..FaultSpec::new(FaultName::Overloaded).for_model(NOVA)
    })?;
    // What Bedrock is told of each attempt is its span.
    let settings = BedrockService::builder().trace_propagator(propagator());
    let leaf = simulated_bedrock_as(&simulator, settings).await?;
    let stack = StandardStack::new().map_err(anyhow::Error::from_boxed)?;
    let app = App {
        bedrock: BoxCloneSyncService::new(stack.layer(leaf.clone())),
        leaf,
        propagator: Arc::new(propagator()),
    };
    let router = Router::new().route("/", post(answer)).with_state(app);
    axum::serve(listener().await?, router).await?;
    Ok(())
}

/// X-Ray's header and W3C's. Where both are there, the last wins.
fn propagator() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![
        Box::new(XrayPropagator::new()),
        Box::new(TraceContextPropagator::new()),
    ])
}

/// Ids are made as X-Ray wants them: their first half is the time.
fn provider() -> Result<SdkTracerProvider> {
    let provider = SdkTracerProvider::builder()
        .with_id_generator(XrayIdGenerator::default())
        .with_resource(Resource::builder().with_service_name("chat").build());
    if env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        return Ok(provider.with_simple_exporter(Printer).build());
    }
    let client = OnRuntime {
        client: Arc::new(HyperClient::with_default_connector(
            Duration::from_secs(10),
            None,
        )),
        runtime: Handle::current(),
    };
    // The endpoint is read from the environment, as by all of OpenTelemetry's exporters.
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()?;
    Ok(provider.with_batch_exporter(exporter).build())
}

async fn answer(
    State(app): State<App>,
    headers: HeaderMap,
    prompt: String,
) -> Result<(HeaderMap, String), (StatusCode, String)> {
    let span = info_span!("POST /", otel.kind = "server");
    let caller = app.propagator.extract(&HeaderExtractor(&headers));
    // It fails where nobody listens to the span.
    let _ = span.set_parent(caller);
    let mut headers = HeaderMap::new();
    app.propagator
        .inject_context(&span.context(), &mut HeaderInjector(&mut headers));
    let text = ask(app, prompt).instrument(span).await;
    let text = text.map_err(|error| {
        // The error without its text, which may not be for everybody.
        let kind = error.fault().kind();
        (StatusCode::SERVICE_UNAVAILABLE, kind.to_string())
    })?;
    Ok((headers, text))
}

async fn ask(app: App, prompt: String) -> Result<String, BoxError> {
    let input = ConverseInput::builder()
        .model_id(NOVA)
        .messages(
            Message::builder()
                .role(ConversationRole::User)
                .content(ContentBlock::Text(prompt))
                .build()?,
        )
        .inference_config(InferenceConfiguration::builder().max_tokens(300).build())
        .build()?;
    let answer = app.bedrock.oneshot(app.leaf.invocation(input)?).await?;
    let output = answer.into_output();
    let message = output.output().and_then(|output| output.as_message().ok());
    let blocks = message.map(Message::content).unwrap_or_default();
    let texts = blocks.iter().filter_map(|block| block.as_text().ok());
    Ok(texts.map(String::as_str).collect())
}

/// Prints a line for each span, when it ends.
#[derive(Debug)]
struct Printer;

impl opentelemetry_sdk::trace::SpanExporter for Printer {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        for span in spans {
            let took = span.end_time.duration_since(span.start_time);
            println!(
                "{} {} < {}  {}  {:?}",
                span.span_context.trace_id(),
                span.span_context.span_id(),
                span.parent_span_id,
                span.name,
                took.unwrap_or_default(),
            );
        }
        Ok(())
    }
}

/// Batches are exported from a thread of their own, and hyper wants a runtime.
#[derive(Debug)]
struct OnRuntime {
    client: Arc<HyperClient>,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = Arc::clone(&self.client);
        let sent = async move { client.send_bytes(request).await };
        self.runtime.spawn(sent).await?
    }
}
