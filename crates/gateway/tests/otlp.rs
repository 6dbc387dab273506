//! What a collector receives of the program, and what Bedrock is told of it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use axum::{Router, http::HeaderMap, routing::post};
use bytes::Bytes;
use http::Request;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{ArrayValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use support::{Answer, CONVERSE, CONVERSE_STREAM, Call, Fake, MODEL, Program, frames, read, soon};
use tokio::{net::TcpListener, sync::mpsc};

/// Of a day in 2024, as X-Ray's ids tell.
const TRACE: &str = "6745d3c0a1b2c3d4e5f60718293a4b5c";
const CALLER: &str = "53995c3f42cd8ad8";
const PROMPT: &str = r#"{"messages":[{"role":"user","content":[{"text":"canary-prompt"}]}]}"#;
const USAGE: &str =
    r#"{"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":8},"output":"canary-answer"}"#;
const THROTTLED: [(&str, &str); 1] = [("x-amzn-errortype", "ThrottlingException")];

const UNAVAILABLE: [(&str, &str); 1] = [("x-amzn-errortype", "ServiceUnavailableException")];

/// A collector, and what it receives.
struct Collector {
    url: String,
    received: mpsc::UnboundedReceiver<(HeaderMap, ExportTraceServiceRequest)>,
}

impl Collector {
    async fn new() -> Self {
        let (receive, received) = mpsc::unbounded_channel();
        let take = async move |headers: HeaderMap, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            receive.send((headers, request)).unwrap();
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/otlp", listener.local_addr().unwrap());
        let router = Router::new().route("/otlp/v1/traces", post(take));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, received }
    }

    fn config(&self) -> String {
        format!(
            "[otlp]\nendpoint = \"{}\"\nservice_name = \"front\"\n",
            self.url
        )
    }

    /// What it has received of a program, which sends the last when it ends.
    async fn all_of(mut self, program: Program) -> Vec<Span> {
        program.terminate().await;
        assert!(program.ended().await.success());
        let mut spans = Vec::new();
        while let Ok((headers, request)) = self.received.try_recv() {
            assert_eq!(headers["x-collector-key"], "canary-collector");
            for resource in request.resource_spans {
                let attributes = resource.resource.unwrap().attributes;
                let service = attributes.iter().find(|a| a.key == "service.name").unwrap();
                let service = service.value.clone().unwrap().value;
                assert_eq!(service, text("front"));
                spans.extend(resource.scope_spans.into_iter().flat_map(|s| s.spans));
            }
        }
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

/// A gateway that calls one and sends its spans to the other, when it ends and no sooner.
async fn program(fake: &Fake, more: &str) -> Program {
    let env = [
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-collector-key=canary-collector",
        ),
        // Logs and traces are not of one mind.
        ("RUST_LOG", "error"),
    ];
    Program::start(&support::config(&fake.url(), more), &env).await
}

async fn call(program: &Program, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(path).header("authorization", "Bearer canary-key");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(PROMPT.into()).unwrap();
    read(support::open(program.address, request).await)
        .await
        .unwrap()
}

fn hex(id: &[u8]) -> String {
    hex::encode(id)
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|a| a.key == key)?;
    found.value.clone()?.value
}

fn text(text: &str) -> Option<Value> {
    Some(Value::StringValue(text.to_owned()))
}

fn event<'s>(span: &'s Span, name: &str) -> &'s [opentelemetry_proto::tonic::common::v1::KeyValue] {
    let event = span.events.iter().find(|event| event.name == name);
    &event
        .unwrap_or_else(|| panic!("{name}: {span:#?}"))
        .attributes
}

/// The span that a call to Bedrock says it is part of: the same in both forms.
fn told(call: &Call) -> String {
    let parent = call.header("traceparent");
    let [_, trace, span, flags] = parent.split('-').collect::<Vec<_>>()[..] else {
        panic!("{parent:?}");
    };
    let xray = format!(
        "Root=1-{}-{};Parent={span};Sampled={}",
        &trace[..8],
        &trace[8..],
        u8::from(flags == "01")
    );
    assert_eq!(call.header("x-amzn-trace-id"), xray);
    assert!(!call.headers.contains_key("tracestate"));
    format!("{trace}-{span}-{flags}")
}

#[tokio::test]
async fn a_call_continues_its_callers_trace_and_shows_every_attempt_and_wait() {
    let (mut fake, collector) = (Fake::new().await, Collector::new().await);
    let retry = "[retry]\nmax_attempts = 2\nbase_delay = \"5ms\"\nmax_delay = \"5ms\"\n";
    let more = format!("{retry}{}", collector.config());
    let program = program(&fake, &more).await;
    let caller = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("traceparent", &*caller)];
    let (answer, upstream) = tokio::join!(call(&program, CONVERSE, &headers), async {
        let first = fake.call().await;
        let upstream = told(&first);
        first.answer(429, &THROTTLED, "canary-error").await;
        let second = fake.call().await;
        let upstream = [upstream, told(&second)];
        second.answer(200, &[], USAGE).await;
        upstream
    });
    assert_eq!(answer.status, 200);

    let spans = collector.all_of(program).await;
    let [server, request, failed, served] = &spans[..] else {
        panic!("{spans:#?}");
    };
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(hex(&server.parent_span_id), CALLER);
    assert_eq!(request.parent_span_id, server.span_id);
    assert_eq!(
        (server.kind(), &*server.name),
        (SpanKind::Server, "Converse")
    );
    let status = attribute(server, "http.response.status_code");
    assert_eq!(status, Some(Value::IntValue(200)));
    assert_eq!(request.name, format!("chat {MODEL}"));
    assert!(
        event(request, "waiting to retry")
            .iter()
            .any(|a| a.key == "delay")
    );
    for (attempt, upstream) in [failed, served].into_iter().zip(upstream) {
        assert_eq!(attempt.parent_span_id, request.span_id);
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!(upstream, format!("{TRACE}-{}-01", hex(&attempt.span_id)));
        let provider = attribute(attempt, "gen_ai.provider.name");
        assert_eq!(provider, text("aws.bedrock"));
        assert_eq!(attribute(attempt, "gen_ai.request.model"), text(MODEL));
        assert_eq!(attribute(attempt, "cloud.region"), text("us-east-1"));
    }
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    let told: BTreeMap<_, _> = event(request, "attempt failed")
        .iter()
        .map(|a| (&*a.key, a.value.clone().and_then(|value| value.value)))
        .collect();
    assert_eq!(told["exception"], text("ThrottlingException"));
    assert_eq!(told["attempt"], Some(Value::IntValue(1)));
    assert!(told.contains_key("delay_ms"));
    for (attempt, number) in [(failed, 1), (served, 2)] {
        let told = attribute(attempt, "bedrock.attempt");
        assert_eq!(told, Some(Value::IntValue(number)));
    }
    assert_eq!(attribute(failed, "error.type"), text("ThrottlingException"));
    assert_eq!(attribute(served, "error.type"), None);
    for (tokens, count) in [("input", 3), ("output", 5)] {
        let tokens = attribute(served, &format!("gen_ai.usage.{tokens}_tokens"));
        assert_eq!(tokens, Some(Value::IntValue(count)));
    }
    // X-Ray's exporters make annotations of what this names, by which traces are found.
    let Some(Value::ArrayValue(ArrayValue { values })) = attribute(served, "aws.xray.annotations")
    else {
        panic!("{served:#?}");
    };
    let indexed: Vec<_> = values.into_iter().map(|value| value.value).collect();
    assert_eq!(indexed, [text("model_id")]);
    assert_eq!(attribute(served, "model_id"), text(MODEL));
    assert!(!format!("{spans:?}").contains("canary"));
}

#[tokio::test]
async fn a_stream_is_a_span_to_its_end_in_the_trace_that_x_rays_header_names() {
    let (mut fake, collector) = (Fake::new().await, Collector::new().await);
    let program = program(&fake, &collector.config()).await;
    let caller = format!(
        "Root=1-{}-{};Parent={CALLER};Sampled=1",
        &TRACE[..8],
        &TRACE[8..]
    );
    let headers = [("x-amzn-trace-id", &*caller)];
    let (answer, ()) = tokio::join!(call(&program, CONVERSE_STREAM, &headers), async {
        let mut call = fake.call().await;
        call.begin_stream().await;
        call.chunk(frames::Whole::converse().bytes()).await;
        call.end_stream().await;
    });
    assert_eq!(answer.status, 200);
    let spans = collector.all_of(program).await;
    let [server, request, attempt] = &spans[..] else {
        panic!("{spans:#?}");
    };
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(hex(&server.parent_span_id), CALLER);
    for [outer, inner] in [[server, request], [request, attempt]] {
        assert_eq!(inner.parent_span_id, outer.span_id);
        assert!(outer.end_time_unix_nano >= inner.end_time_unix_nano);
    }
    // Known when it has ended.
    assert!(attribute(attempt, "gen_ai.usage.output_tokens").is_some());
    assert!(attribute(attempt, "bedrock.time_to_first_token_ms").is_some());
}

#[tokio::test]
async fn a_wait_for_quota_is_seen() {
    let (mut fake, collector) = (Fake::new().await, Collector::new().await);
    let quota = "[metrics]\nlisten = \"127.0.0.1:0\"\n[[quota]]\nrequests_per_minute = 1\n";
    let program = program(&fake, &format!("{quota}{}", collector.config())).await;
    let waiting = async || {
        let request = Request::get("/metrics").body(Bytes::new()).unwrap();
        let address = program.metrics_address.unwrap();
        let metrics = read(support::open(address, request).await).await.unwrap();
        let waits = |line: &str| line.starts_with("QuotaWaiting{") && line.ends_with(" 1");
        metrics.text().lines().any(waits)
    };
    let headers = [("traceparent", &*format!("00-{TRACE}-{CALLER}-01"))];
    let second = async {
        let first = fake.call().await;
        let second = call(&program, CONVERSE, &headers);
        let serve = async {
            soon(async { while !waiting().await {} }).await;
            // What is not served is given back.
            first.answer(503, &UNAVAILABLE, "{}").await;
            fake.call().await.answer(200, &[], USAGE).await;
        };
        tokio::join!(second, serve).0
    };
    let (first, second) = tokio::join!(call(&program, CONVERSE, &[]), second);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (503, 200));

    let spans = collector.all_of(program).await;
    let name = format!("chat {MODEL}");
    let is_second = |span: &&Span| hex(&span.trace_id) == TRACE && span.name == name;
    let request = spans.iter().find(is_second).unwrap();
    let waited = event(request, "waited for quota");
    assert!(waited.iter().any(|a| a.key == "waited"), "{waited:?}");
}

#[tokio::test]
async fn callers_decide_what_is_sampled_of_their_traces() {
    let (mut fake, collector) = (Fake::new().await, Collector::new().await);
    let nothing = format!("{}sample_ratio = 0.0\n", collector.config());
    let program = program(&fake, &nothing).await;
    let sampled = format!("00-{TRACE}-{CALLER}-01");
    for (headers, flags) in [(&[][..], "-00"), (&[("traceparent", &*sampled)][..], "-01")] {
        let (_, upstream) = tokio::join!(call(&program, CONVERSE, headers), async {
            let call = fake.call().await;
            let upstream = told(&call);
            call.answer(200, &[], USAGE).await;
            upstream
        });
        // Bedrock is told all the same, and that nobody looks.
        assert!(upstream.ends_with(flags), "{upstream}");
    }
    let spans = collector.all_of(program).await;
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
}

/// As load balancers add it to what has none: a trace, no span of it, and nothing about sampling. And a caller that
/// has a span, and leaves it to others whether it is sampled.
#[tokio::test]
async fn what_callers_leave_open_is_decided_here_in_the_trace_that_they_name() {
    let root = format!("Root=1-{}-{}", &TRACE[..8], &TRACE[8..]);
    let parent = format!("{root};Parent={CALLER}");
    let asked = format!("{parent};Sampled=?");
    let refused = format!("{root};Sampled=0");
    for (header, of, ratio, sampled) in [
        (&root, "", "1.0", true),
        (&root, "", "0.0", false),
        (&parent, CALLER, "1.0", true),
        (&asked, CALLER, "1.0", true),
        (&asked, CALLER, "0.0", false),
        (&refused, "", "1.0", false),
    ] {
        let (mut fake, collector) = (Fake::new().await, Collector::new().await);
        let more = format!("{}sample_ratio = {ratio}\n", collector.config());
        let program = program(&fake, &more).await;
        let headers = [("x-amzn-trace-id", &**header)];
        let (_, upstream) = tokio::join!(call(&program, CONVERSE, &headers), async {
            let call = fake.call().await;
            let upstream = told(&call);
            call.answer(200, &[], USAGE).await;
            upstream
        });
        assert!(upstream.starts_with(TRACE), "{header}: {upstream}");
        let flags = if sampled { "-01" } else { "-00" };
        assert!(upstream.ends_with(flags), "{header}: {upstream}");
        let spans = collector.all_of(program).await;
        assert_eq!(spans.len(), if sampled { 3 } else { 0 }, "{header}");
        if let Some(server) = spans.first() {
            assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
            assert_eq!(hex(&server.parent_span_id), of, "{header}");
            assert_eq!(server.name, "Converse");
        }
    }
}

#[tokio::test]
async fn a_collector_that_does_not_answer_holds_nothing_up() {
    let mut fake = Fake::new().await;
    // It accepts, and that is all.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = format!(
        "[otlp]\nendpoint = \"http://{}\"\n",
        silent.local_addr().unwrap()
    );
    let program = program(&fake, &otlp).await;
    for _ in 0..3 {
        let (answer, ()) = tokio::join!(call(&program, CONVERSE, &[]), async {
            fake.call().await.answer(200, &[], USAGE).await;
        });
        assert_eq!(answer.status, 200);
    }
    program.terminate().await;
    assert!(soon(program.ended()).await.success());
}

/// Without a collector, what clients say of their traces is passed on as they say it.
#[tokio::test]
async fn headers_of_clients_pass_where_nobody_traces() {
    let mut fake = Fake::new().await;
    let program = program(&fake, "").await;
    let sent = [
        ("traceparent", "00-1-2-01"),
        ("tracestate", "a=b"),
        ("x-amzn-trace-id", "Root=1-2-3"),
    ];
    tokio::join!(call(&program, CONVERSE, &sent), async {
        let call = fake.call().await;
        for (name, value) in sent {
            assert_eq!(call.header(name), value);
        }
        call.answer(200, &[], USAGE).await;
    });
}
