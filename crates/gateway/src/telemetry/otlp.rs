//! Traces to an OpenTelemetry collector: OTLP over HTTP, as protobuf.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{Span as _, TracerProvider},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tokio::{runtime::Handle, task::spawn_blocking, time::Duration, time::timeout};
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use crate::{
    config::Otlp,
    trace::{TraceIds, TraceSampler},
    upstream::client,
};

/// Where a collector takes traces, below its URL.
const PATH: &str = "v1/traces";
/// For one request to the collector: OpenTelemetry's own default.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// A collector says in a few bytes that it has taken everything.
const MAX_ANSWER: usize = 64 * 1024;
/// How long the gateway's end waits for the last spans to be sent.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// What the spans of the gateway and of its layers begin with, in their `tracing` targets.
const OURS: [&str; 2] = ["bedrock_gateway", "tower_bedrock"];

/// Sends what happens to calls to an OpenTelemetry collector, as spans.
///
/// Spans are sent in batches from a thread of their own. Up to 2,048 wait for their batch,
/// and more are dropped, as is a batch that the collector does not take: calls never wait for it. Each batch that fails, and the beginning and the sum of what is
/// dropped, are logged. The environment variables `OTEL_BSP_*` change the sizes, and
/// `OTEL_EXPORTER_OTLP_HEADERS` has headers for the collector, keys among them.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The certificates that TLS connections are checked against cannot be read.
    #[error("cannot read the system's root certificates: {0}")]
    Certificates(#[source] io::Error),
    /// An environment variable of OpenTelemetry's has a value that cannot be.
    #[error("cannot send traces: {0}")]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// Makes ready to send. To be called on the runtime that is to do it.
    ///
    /// # Errors
    ///
    /// [`TracesError`] says what is missing. That nobody answers at the endpoint is not an error.
    pub fn new(config: &Otlp) -> Result<Self, TracesError> {
        let is_tls = config.endpoint.scheme_str() == Some("https");
        let client = client::client(is_tls, 1).map_err(TracesError::Certificates)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OnRuntime {
                client,
                runtime: Handle::current(),
            })
            .with_endpoint(address(&config.endpoint))
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let name = config.service_name.clone();
        let provider = SdkTracerProvider::builder()
            // A caller that has decided has decided for all of its trace.
            .with_sampler(TraceSampler::new(config.sample_ratio))
            .with_id_generator(TraceIds::default())
            .with_resource(Resource::builder().with_service_name(name).build())
            .with_span_processor(Annotations)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider })
    }

    /// What hands spans over, for a subscriber that others share.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let ours = OURS.map(|target| (target, Level::INFO));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("bedrock-gateway"))
            // Where in the source, and on which thread, is no business of who watches calls.
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_targets(ours))
    }

    /// Sends what has not been sent yet, for at most five seconds.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on in the background.
    pub async fn shut_down(self) {
        let provider = self.provider;
        let last = spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT));
        if let Ok(Err(error)) = last.await {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The collector's address for traces.
fn address(endpoint: &Uri) -> String {
    let endpoint = endpoint.to_string();
    format!("{}/{PATH}", endpoint.trim_end_matches('/'))
}

/// Has X-Ray index the model, so that traces can be found by it: of attributes that this list names, the collector's
/// `awsxray` exporter makes annotations, and metadata of all others.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-sdk-migration.html>
#[derive(Debug)]
struct Annotations;

impl SpanProcessor for Annotations {
    fn on_start(&self, span: &mut Span, _: &Context) {
        let indexed = vec![StringValue::from("model_id")];
        let indexed = Value::Array(Array::String(indexed));
        span.set_attribute(KeyValue::new("aws.xray.annotations", indexed));
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Batches are exported from a thread of their own, and hyper wants a runtime.
#[derive(Debug)]
struct OnRuntime {
    client: client::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answer = async move {
            let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        // A timer wants one, too, from its beginning.
        let in_time = async { timeout(EXPORT_TIMEOUT, answer).await? };
        self.runtime.spawn(in_time).await?
    }
}
