//! Spans and events: what is in them, and what never is.

#![allow(clippy::unwrap_used)]

use std::{
    future::ready,
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
    Answer, BoxError, Completion, Context, Demand, Fault, FaultKind, HasCompletion, Invocation,
    Observers, Outcome, Target, TokenUsage,
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
    let context = Context::new().with_tenant("CANARY tenant");
    log_of(context, move || result().map_err(BoxError::from)).await
}

async fn log_of<Response: HasCompletion>(
    context: Context,
    result: impl Fn() -> Result<Response, BoxError>,
) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let leaf = service_fn(move |_: Call| ready(result()));
    let service = TraceLayer::requests().layer(TraceLayer::attempts().layer(leaf));
    let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0").unwrap();
    let call = Invocation::new(target, "CANARY prompt".to_owned())
        .with_demand(Demand::new(5).with_max_output_tokens(77))
        .with_context(context);
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

/// Who counts attempts tells of those that fail, by an event that has the delay as well.
#[tokio::test]
async fn a_failed_attempt_that_somebody_counts_is_left_to_them() {
    let mut context = Context::new();
    context.set_attempt(2);
    let throttled = || Err::<Answer<()>, _>(Fault::new(FaultKind::ThrottledTokens).into());
    let log = log_of(context, throttled).await;
    assert!(!log.contains("attempt failed"), "{log}");
    // The span tells of it all the same.
    for expected in [
        "bedrock.attempt=2",
        r#"error.type="ThrottlingException""#,
        r#"otel.status_code="ERROR""#,
    ] {
        assert!(log.contains(expected), "{expected} in\n{log}");
    }
}

/// A stream that has broken off.
struct Broken(Observers);

impl HasCompletion for Broken {
    fn on_completion<F: FnOnce(&Completion) + Send + 'static>(&mut self, observer: F) {
        self.0.add(observer);
        let fault = FaultKind::ModelStreamError.into();
        self.0.finish(Outcome::Failed(fault));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_told_of_whoever_counts_attempts() {
    let mut context = Context::new();
    context.set_attempt(2);
    let log = log_of(context, || Ok(Broken(Observers::default()))).await;
    let events = log.lines().filter(|line| line.contains("attempt failed"));
    let [event] = events.collect::<Vec<_>>()[..] else {
        panic!("one event in\n{log}");
    };
    for expected in ["ModelStreamErrorException", "attempt=2"] {
        assert!(event.contains(expected), "{expected} in\n{event}");
    }
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
