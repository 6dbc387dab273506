//! What a collector receives of the `otlp` example.

#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{Duration, timeout},
};

/// Of a day in 2024, as X-Ray's ids tell.
const TRACE: &str = "6745d3c0a1b2c3d4e5f60718293a4b5c";
const CALLER: &str = "53995c3f42cd8ad8";
const PROMPT: &str = "CANARY";

/// A collector, and what it receives.
async fn collector() -> (String, mpsc::UnboundedReceiver<Span>) {
    let (received, spans) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let resources = request.resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            received.send(span).unwrap();
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    (address, spans)
}

struct Example {
    program: Child,
    url: String,
}

impl Example {
    fn start(collector: &str) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_otlp"))
            .arg("127.0.0.1:0")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(program.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        Self { program, url }
    }

    async fn ask(&self, name: &'static str, value: &str) -> HeaderMap {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let mut request = Request::new(Full::from(PROMPT));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.parse().unwrap();
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().insert(name, value);
        let response = client.request(request).await.unwrap();
        let headers = response.headers().clone();
        assert_eq!(response.status(), 200);
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(text.starts_with(b"This is a simulated answer"), "{text:?}");
        headers
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

/// Spans until the outermost of a call, which ends last.
async fn call(spans: &mut mpsc::UnboundedReceiver<Span>) -> Vec<Span> {
    let mut call = Vec::new();
    loop {
        let span = timeout(Duration::from_secs(60), spans.recv());
        let span = span.await.unwrap().unwrap();
        let is_last = span.name == "POST /";
        call.push(span);
        if is_last {
            return call;
        }
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|a| a.key == key)?;
    found.value.clone()?.value
}

fn text(text: &str) -> Option<Value> {
    Some(Value::StringValue(text.to_owned()))
}

#[tokio::test]
async fn a_call_continues_its_callers_trace_and_shows_every_attempt() {
    let (address, mut spans) = collector().await;
    let example = Example::start(&address);

    let caller = format!("00-{TRACE}-{CALLER}-01");
    let answered = example.ask("traceparent", &caller).await;
    let spans = call(&mut spans).await;
    let [failed, served, request, server] = &spans[..] else {
        panic!("{spans:#?}");
    };
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(hex(&server.parent_span_id), CALLER);
    assert_eq!(server.kind(), SpanKind::Server);
    assert_eq!(request.parent_span_id, server.span_id);
    assert_eq!(request.name, "chat us.amazon.nova-lite-v1:0");
    assert_eq!(
        attribute(request, "bedrock.attempts"),
        Some(Value::IntValue(2))
    );
    for attempt in [failed, served] {
        let most = attribute(attempt, "gen_ai.request.max_tokens");
        assert_eq!(most, Some(Value::IntValue(300)));
        assert_eq!(attempt.parent_span_id, request.span_id);
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!(
            attribute(attempt, "gen_ai.provider.name"),
            text("aws.bedrock")
        );
        assert_eq!(
            attribute(attempt, "model_id"),
            text("us.amazon.nova-lite-v1:0")
        );
        assert_eq!(attribute(attempt, "cloud.region"), text("us-east-1"));
    }
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    // Told by the retry layer, which knows what follows.
    let mut events = request.events.iter();
    assert!(events.any(|event| event.name == "attempt failed"));
    assert!(attribute(failed, "error.type").is_some());
    assert!(attribute(served, "error.type").is_none());
    for tokens in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        let Some(Value::IntValue(tokens)) = attribute(served, tokens) else {
            panic!("{served:#?}");
        };
        assert!(tokens > 0);
    }
    assert!(!format!("{spans:?}").contains(PROMPT));

    // And back, in both forms.
    let span = hex(&server.span_id);
    assert_eq!(answered["traceparent"], format!("00-{TRACE}-{span}-01"));
    let xray = answered["x-amzn-trace-id"].to_str().unwrap();
    let root = format!("Root=1-{}-{}", &TRACE[..8], &TRACE[8..]);
    assert!(xray.contains(&root) && xray.contains(&format!("Parent={span}")));
}

#[tokio::test]
async fn x_rays_header_does_as_well() {
    let (address, mut spans) = collector().await;
    let example = Example::start(&address);
    let caller = format!(
        "Root=1-{}-{};Parent={CALLER};Sampled=1",
        &TRACE[..8],
        &TRACE[8..]
    );
    example.ask("x-amzn-trace-id", &caller).await;
    let spans = call(&mut spans).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(hex(&spans.last().unwrap().parent_span_id), CALLER);
}
