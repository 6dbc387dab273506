//! What each kind of ending leaves in a recorder.

#![allow(clippy::unwrap_used)]

mod bounds;

use std::{collections::BTreeMap, future::pending, time::Duration};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bedrock_cloudwatch::MetricsLayer;
use tower_bedrock_core::{
    Answer, BoxError, Completion, Degraded, Fault, FaultKind, GaveUp, HasCompletion, HasFault, Hop,
    Invocation, Observers, Outcome, Target, TokenUsage,
};

type Call = Invocation<&'static str>;

fn target() -> Target {
    Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap()
}

fn call() -> Call {
    Invocation::new(target(), "CANARY")
}

/// Everything recorded, as `name{label=value,...}`; a histogram as its number of values and their sum.
fn recorded(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let snapshot = snapshotter.snapshot().into_vec();
    let entries = snapshot.into_iter().flat_map(|(key, .., value)| {
        let labels: Vec<_> = key
            .key()
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
        match value {
            DebugValue::Counter(0) => vec![],
            DebugValue::Counter(count) => vec![(name, count as f64)],
            DebugValue::Histogram(values) if values.is_empty() => vec![],
            DebugValue::Histogram(values) => {
                let sum = values.iter().map(|value| value.into_inner()).sum();
                vec![(format!("{name}#"), values.len() as f64), (name, sum)]
            }
            DebugValue::Gauge(value) => vec![(name, value.into_inner())],
        }
    });
    entries.collect()
}

const AT: &str = "{ModelId=amazon.nova-lite-v1:0,Region=us-east-1}";

fn at(name: &str) -> String {
    format!("{name}{AT}")
}

fn with(name: &str, label: &str) -> String {
    format!("{name}{}", AT.replace('}', &format!(",{label}}}")))
}

/// Sends one call through the layer and returns what was recorded.
async fn record<S>(layer: fn() -> MetricsLayer, inner: S) -> BTreeMap<String, f64>
where
    S: Service<Call, Error = BoxError>,
    S::Response: HasCompletion,
{
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    drop(layer().layer(inner).oneshot(call()).await);
    recorded(&snapshotter)
}

fn expected<const N: usize>(entries: [(String, f64); N]) -> BTreeMap<String, f64> {
    entries.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_answered() {
    let inner = service_fn(|_: Call| async {
        sleep(Duration::from_millis(250)).await;
        let usage = TokenUsage {
            input: 10,
            output: 20,
            cache_read: 30,
            cache_write: 40,
        };
        Ok::<_, BoxError>(Answer::new("CANARY").with_usage(usage))
    });
    let recorded = record(MetricsLayer::attempts, inner).await;
    let expected = expected([
        (at("Invocations"), 1.0),
        (at("InvocationLatency") + "#", 1.0),
        (at("InvocationLatency"), 250.0),
        (at("InputTokenCount"), 10.0),
        (at("OutputTokenCount"), 20.0),
        (at("CacheReadInputTokenCount"), 30.0),
        (at("CacheWriteInputTokenCount"), 40.0),
    ]);
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn every_fault_of_an_attempt_has_its_metric_and_its_kind() {
    use FaultKind::*;
    let throttles = [
        ThrottledRequests,
        ThrottledTokens,
        ThrottledTokensPerDay,
        Throttled,
        ModelOverloaded,
        ModelNotReady,
    ];
    for kind in FaultKind::ALL {
        let inner =
            service_fn(move |_: Call| async move { Err::<Answer<()>, _>(Fault::new(kind).into()) });
        let metric = if throttles.contains(&kind) {
            "InvocationThrottles"
        } else if kind.is_callers_mistake() {
            "InvocationClientErrors"
        } else {
            "InvocationServerErrors"
        };
        let recorded = record(MetricsLayer::attempts, inner).await;
        assert_eq!(
            recorded,
            expected([(with(metric, &format!("Fault={kind}")), 1.0)])
        );
    }
}

#[tokio::test]
async fn a_request_that_failed_counts_its_retries_and_why_it_was_given_up() {
    let inner = service_fn(|_: Call| async {
        let error: BoxError = Fault::new(FaultKind::Unavailable).into();
        Err::<Answer<()>, _>(error.update_history(|history| {
            history.attempts = 5;
            history.gave_up = Some(GaveUp::MaxAttempts);
        }))
    });
    let expected = expected([
        (at("Requests"), 1.0),
        (with("RequestErrors", "Fault=unavailable"), 1.0),
        (at("Retries"), 4.0),
        (with("GiveUps", "Cause=max_attempts"), 1.0),
    ]);
    assert_eq!(record(MetricsLayer::requests, inner).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_another_model_served_is_a_fallback() {
    let inner = service_fn(|_: Call| async {
        let mut answer = Answer::new(());
        let history = answer.history_mut().unwrap();
        history.attempts = 4;
        history
            .failed_hops
            .push(Hop::new(target(), FaultKind::Overloaded.into(), 3));
        history.served_by = Some(Target::parse("us-west-2", "amazon.nova-pro-v1:0").unwrap());
        Ok::<_, BoxError>(answer)
    });
    let expected = expected([
        (at("Requests"), 1.0),
        (at("RequestLatency") + "#", 1.0),
        (at("RequestLatency"), 0.0),
        (at("FallbackModelInvocations"), 1.0),
        // Three attempts at the first hop are two retries; the fourth was the first at the second hop.
        (at("Retries"), 2.0),
    ]);
    assert_eq!(record(MetricsLayer::requests, inner).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_asked_for_target_served_is_no_fallback_and_a_degraded_one_is_its_own() {
    let served = service_fn(|_: Call| async {
        let mut answer = Answer::new(());
        answer.history_mut().unwrap().served_by = Some(target());
        Ok::<_, BoxError>(answer)
    });
    assert!(
        !record(MetricsLayer::requests, served)
            .await
            .contains_key(&at("FallbackModelInvocations"))
    );

    let degraded = service_fn(|_: Call| async {
        let mut answer = Answer::new(());
        answer.history_mut().unwrap().degraded = Some(Degraded::default());
        Ok::<_, BoxError>(answer)
    });
    let recorded = record(MetricsLayer::requests, degraded).await;
    assert_eq!(recorded.get(&at("DegradedAnswers")), Some(&1.0));
    assert!(!recorded.contains_key(&at("FallbackModelInvocations")));
}

#[tokio::test]
async fn a_dropped_future_is_counted_once() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let inner = service_fn(|_: Call| pending::<Result<Answer<()>, BoxError>>());
    for (layer, metric) in [
        (MetricsLayer::attempts(), "CancelledInvocations"),
        (MetricsLayer::requests(), "CancelledRequests"),
    ] {
        let mut response = task::spawn(layer.layer(inner).oneshot(call()));
        assert_pending!(response.poll());
        drop(response);
        assert_eq!(recorded(&snapshotter), expected([(at(metric), 1.0)]));
    }
}

/// A stream that a test ends as it likes.
#[derive(Debug, Default)]
struct Stream(Observers);

impl HasCompletion for Stream {
    fn on_completion<F: FnOnce(&Completion) + Send + 'static>(&mut self, observer: F) {
        self.0.add(observer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_when_it_has_ended() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let layer = MetricsLayer::attempts();
    let start = async || {
        let inner = service_fn(|_: Call| async { Ok::<_, BoxError>(Stream::default()) });
        layer.layer(inner).oneshot(call()).await.unwrap()
    };

    let mut stream = start().await;
    let began = Instant::now();
    sleep(Duration::from_secs(2)).await;
    stream.0.first_token(began.elapsed());
    stream.0.usage(TokenUsage {
        input: 1,
        output: 2,
        ..TokenUsage::default()
    });
    assert_eq!(
        recorded(&snapshotter),
        BTreeMap::new(),
        "not before it has ended"
    );
    stream.0.finish(Outcome::Complete);
    let whole = recorded(&snapshotter);
    assert_eq!(whole.get(&at("TimeToFirstToken")), Some(&2_000.0));
    assert_eq!(whole.get(&at("InvocationLatency")), Some(&2_000.0));
    assert_eq!(whole.get(&at("OutputTokenCount")), Some(&2.0));

    let mut stream = start().await;
    stream
        .0
        .finish(Outcome::Failed(FaultKind::ThrottledTokens.into()));
    assert_eq!(
        recorded(&snapshotter),
        expected([(with("InvocationThrottles", "Fault=throttled_tokens"), 1.0)])
    );

    drop(start().await);
    assert_eq!(
        recorded(&snapshotter).get(&at("CancelledInvocations")),
        Some(&1.0)
    );
}
