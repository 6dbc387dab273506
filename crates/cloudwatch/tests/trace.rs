//! Spans and events: what is in them, and what never is.

#![allow(clippy::unwrap_used)]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock_cloudwatch::{
    TraceLayer,
    policy::{QuotaLabels, QuotaMetrics, TargetMetrics},
};
use tower_bedrock_core::{
    Answer, BoxError, Context, Demand, Fault, FaultKind, HasCompletion, Invocation, Target,
    TokenUsage,
};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

type Call = Invocation<String>;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

/// Everything that is written, at every level, while one call goes through both layers.
async fn log(result: fn() -> Result<Answer<String>, Fault>) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let leaf = service_fn(move |_: Call| async move { result().map_err(BoxError::from) });
    let service = TraceLayer::requests().layer(TraceLayer::attempts().layer(leaf));
    let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0").unwrap();
    let call = Invocation::new(target, "CANARY prompt".to_owned())
        .with_demand(Demand::new(5).with_max_output_tokens(77))
        .with_context(Context::new().with_tenant("CANARY tenant"));
    drop(service.oneshot(call).await);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_successful_call_shows_its_target_and_its_cost() {
    let log = log(|| {
        let usage = TokenUsage {
            input: 10,
            cache_read: 5,
            output: 7,
            ..TokenUsage::default()
        };
        let mut answer = Answer::new("CANARY completion".to_owned()).with_usage(usage);
        answer.history_mut().unwrap().attempts = 2;
        Ok(answer)
    })
    .await;
    for expected in [
        "bedrock.request",
        "bedrock.attempt",
        r#"gen_ai.provider.name="aws.bedrock""#,
        "gen_ai.request.model=us.amazon.nova-lite-v1:0",
        "gen_ai.request.max_tokens=77",
        "gen_ai.usage.input_tokens=15",
        "gen_ai.usage.output_tokens=7",
        "model_id=us.amazon.nova-lite-v1:0",
        "bedrock.attempts=2",
    ] {
        assert!(log.contains(expected), "{expected} in\n{log}");
    }
    assert!(!log.contains("CANARY"), "{log}");
}

#[tokio::test]
async fn a_failed_attempt_leaves_one_event_that_the_usual_query_finds() {
    let log = log(|| Err(Fault::new(FaultKind::ThrottledTokens))).await;
    let events: Vec<_> = log
        .lines()
        .filter(|line| line.contains("attempt failed"))
        .collect();
    assert_eq!(events.len(), 1, "{log}");
    for expected in [
        "ThrottlingException",
        "throttled_tokens",
        "us-east-1/us.amazon.nova-lite-v1:0",
        "WARN",
    ] {
        assert!(events[0].contains(expected), "{expected} in\n{}", events[0]);
    }
    assert!(log.contains(r#"error.type="ThrottlingException""#), "{log}");
    assert!(!log.contains("CANARY"), "{log}");
}

#[test]
fn waits_are_events_in_the_span_of_the_call() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let labels = |_: &&str| QuotaLabels {
        model: "amazon.nova-lite-v1:0",
        region: "us-east-1",
        route: "cross-region",
    };
    let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0").unwrap();
    let times = [Duration::ZERO, Duration::from_millis(250)];
    tracing::subscriber::with_default(subscriber, || {
        let quota = QuotaMetrics::<&str>::new(labels);
        let metrics = TargetMetrics::new();
        let span = tracing::info_span!("bedrock.request");
        let _entered = span.enter();
        for time in times {
            quota.admitted(&"quota", time);
            metrics.retry_delayed(&target, 1, time);
        }
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let waits: Vec<_> = log.lines().collect();
    let [for_quota, to_retry] = waits[..] else {
        panic!("only those that waited: {log}");
    };
    for (line, expected) in [
        (
            for_quota,
            ["waited for quota", "waited=250ms", "cross-region"],
        ),
        (to_retry, ["waiting to retry", "delay=250ms", "attempt=1"]),
    ] {
        assert!(line.contains("bedrock.request"), "{line}");
        for expected in expected {
            assert!(line.contains(expected), "{expected} in {line}");
        }
    }
}
