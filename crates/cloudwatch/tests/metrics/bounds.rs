//! Labels are bounded in number, and those that an operator names are there whatever clients name.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt, service_fn};
#[cfg(feature = "recorder")]
use tower_bedrock_cloudwatch::policy::{LimitLevel, QuotaLabels, QuotaMetrics, Standing};
use tower_bedrock_cloudwatch::{
    METRICS, MetricsLayer,
    policy::{BreakerState, CacheEvent, TargetMetrics},
    table::Kind,
};
use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind, HasTarget, Invocation, Target};

use crate::{Call, at, call, recorded, target, with};

#[tokio::test]
async fn a_client_that_invents_models_cannot_grow_the_recorder() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let inner = service_fn(|_: Call| async { Ok::<_, BoxError>(Answer::new(())) });
    let service = MetricsLayer::attempts().layer(inner);
    for n in 0..1_000 {
        let target = Target::parse("us-east-1", &format!("made.up-{n}")).unwrap();
        service
            .clone()
            .oneshot(Invocation::new(target, "CANARY"))
            .await
            .unwrap();
    }
    let recorded = recorded(&snapshotter);
    let invocations = recorded
        .iter()
        .filter(|(name, _)| name.starts_with("Invocations{"));
    let (names, sum) = invocations.fold((0, 0.0), |(names, sum), (_, count)| {
        (names + 1, sum + count)
    });
    assert_eq!((names, sum), (257, 1_000.0));
    assert_eq!(
        recorded.get("Invocations{ModelId=other,Region=other}"),
        Some(&744.0)
    );
}

/// Registers nothing more than it has to; `metrics` would hand out the same counter again and again.
#[derive(Default)]
struct CountsRegistrations(AtomicUsize);

impl Recorder for CountsRegistrations {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.fetch_add(1, Ordering::Relaxed);
        Histogram::noop()
    }
}

#[tokio::test]
async fn targets_beyond_the_bound_share_one_set_of_handles() {
    let recorder = CountsRegistrations::default();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let inner = service_fn(|_: Call| async { Ok::<_, BoxError>(Answer::new(())) });
    let service = MetricsLayer::attempts().layer(inner);
    let call = async |n: usize| {
        let target = Target::parse("us-east-1", &format!("made.up-{n}")).unwrap();
        let call = Invocation::new(target, "CANARY");
        service.clone().oneshot(call).await.unwrap();
        recorder.0.load(Ordering::Relaxed)
    };
    for n in 0..256 {
        call(n).await;
    }
    let with_other = call(256).await;
    assert_eq!(call(257).await, with_other);
    assert_eq!(call(256).await, with_other);
}

#[test]
fn the_table_keeps_to_what_cloudwatch_takes() {
    for metric in METRICS {
        assert!(
            metric.name.len() <= 255 && metric.name.bytes().all(|b| b.is_ascii_alphabetic()),
            "{}",
            metric.name
        );
        assert!(metric.labels.len() <= 30);
        assert!(metric.description.ends_with('.'));
        let time = metric.unit == metrics::Unit::Milliseconds;
        assert!(
            !time || metric.kind == Kind::Histogram,
            "{} has no percentiles",
            metric.name
        );
    }
    let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METRICS.len());
}

/// What alarms watch is there, however many models clients have named before.
#[tokio::test]
async fn targets_that_are_named_keep_their_labels_and_stand_at_zero() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let layer = MetricsLayer::attempts().with_targets([target()]);
    let standing = snapshotter.snapshot().into_vec();
    let throttles = standing
        .iter()
        .filter(|(key, ..)| key.key().name() == "InvocationThrottles");
    assert_eq!(throttles.count(), 6);
    assert!(
        standing
            .iter()
            .all(|(.., value)| *value == DebugValue::Counter(0)
                || *value == DebugValue::Histogram(vec![]))
    );

    let service = layer.layer(service_fn(|call: Call| async move {
        let theirs = call.target() != &target();
        let kind = if theirs {
            FaultKind::ResourceNotFound
        } else {
            FaultKind::Throttled
        };
        Err::<Answer<()>, BoxError>(Fault::new(kind).into())
    }));
    for n in 0..300 {
        let invented = Target::parse("us-east-1", &format!("acme.model-{n}-v1:0")).unwrap();
        let call = Invocation::new(invented, "CANARY");
        service.clone().oneshot(call).await.unwrap_err();
    }
    service.oneshot(call()).await.unwrap_err();
    let recorded = recorded(&snapshotter);
    assert_eq!(
        recorded[&with("InvocationThrottles", "Fault=throttled")],
        1.0
    );
}

/// So is what policies report of them.
#[test]
fn targets_that_are_named_to_policies_keep_their_labels() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let metrics = TargetMetrics::new().with_targets([target()]);
    assert_eq!(recorded(&snapshotter)[&at("CircuitBreakerState")], 0.0);
    let opened = |target| metrics.breaker_entered(&target, BreakerState::Open, "open", 1);
    for n in 0..300 {
        let invented = Target::parse("us-east-1", &format!("acme.model-{n}-v1:0")).unwrap();
        metrics.retry_delayed(&invented, 1, Duration::from_millis(2));
        metrics.cached(&invented, CacheEvent::Missed);
        opened(invented);
    }
    metrics.retry_delayed(&target(), 1, Duration::from_millis(7));
    metrics.cached(&target(), CacheEvent::Hit);
    opened(target());
    // Named again, as when a configuration is read anew, they stay as they are.
    let _again = metrics.clone().with_targets([target()]);
    let recorded = recorded(&snapshotter);
    assert_eq!(recorded[&at("CircuitBreakerState")], 2.0);
    assert_eq!(recorded[&at("RetryDelay")], 7.0);
    assert_eq!(recorded[&at("CacheHits")], 1.0);
    let transitions = with("CircuitBreakerTransitions", "State=open");
    assert_eq!(recorded[&transitions], 1.0);
}

/// As when a configuration is read anew that changes them.
#[test]
fn another_breaker_begins_closed_and_counts_its_transitions_anew() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let metrics = TargetMetrics::new();
    let state = || recorded(&snapshotter)[&at("CircuitBreakerState")];
    metrics.breaker_entered(&target(), BreakerState::Open, "open", 6);
    assert_eq!(state(), 2.0);
    let metrics = metrics.with_breakers_anew().with_targets([target()]);
    assert_eq!(state(), 0.0);
    metrics.breaker_entered(&target(), BreakerState::Open, "open", 2);
    assert_eq!(state(), 2.0);
}

/// The recorder's own bound is not met before that of the layers.
#[cfg(feature = "recorder")]
#[tokio::test]
async fn a_recorder_has_room_for_all_that_layers_label() {
    let recorder = tower_bedrock_cloudwatch::recorder::CloudWatchRecorder::builder()
        .build()
        .unwrap();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let targets =
        (0..256).map(|n| Target::parse("us-east-1", &format!("acme.model-{n}-v1:0")).unwrap());
    let _requests = MetricsLayer::requests().with_targets(targets.clone());
    let _attempts = MetricsLayer::attempts().with_targets(targets.clone());
    let policies = TargetMetrics::new().with_targets(targets.clone());
    let quotas = QuotaMetrics::new(|target: &Target| QuotaLabels {
        model: target.model().base(),
        region: target.region().as_str(),
        route: "on-demand",
    });
    for target in targets {
        policies.retry_delayed(&target, 1, Duration::ZERO);
        policies.cached(&target, CacheEvent::Missed);
        for state in ["closed", "open", "half_open", "forced_open", "disabled"] {
            policies.breaker_entered(&target, BreakerState::Open, state, 1);
        }
        for reason in ["a", "b", "c", "d", "e", "f"] {
            quotas.refused(&target, reason);
        }
        let level = |limit| LimitLevel {
            limit,
            used: 1,
            of: 2,
        };
        let levels = ["x", "y", "z"].map(level);
        let standing = Standing {
            levels: &levels,
            ..Standing::default()
        };
        quotas.stands(&target, standing);
    }
    assert_eq!(recorder.stats().series_refused, 0);
}
