//! Levels, waits and refusals of quotas.

use std::{task::Waker, time::Duration};

use bedrock_sim::{Config, Simulator};
use metrics::set_default_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt};
use tower_bedrock::{
    Context, Demand,
    cloudwatch::operations::{AlarmKind, Operations, Query},
    metrics::QuotaMetrics,
    quota::{LimitTable, Limiter, Limits, Observe, QuotaKey, QuotaLayer, QuotaPattern},
};

use crate::support::{QUOTA, call, find, gauge, histogram, recorded, target};

#[tokio::test(start_paused = true)]
async fn what_calls_in_flight_have_reserved_is_seen() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let metrics = QuotaMetrics::new();
    let limiter = Limiter::builder().build().unwrap();
    let simulator = Simulator::new(Config::default()).unwrap();
    let service = QuotaLayer::new(limiter.clone()).layer(simulator.service());
    let mut under_way = Box::pin(service.oneshot(call()));
    let mut cx = std::task::Context::from_waker(Waker::noop());
    assert!(under_way.as_mut().poll(&mut cx).is_pending());
    let stands = || {
        metrics.look(&limiter);
        let seen = recorded(&snapshotter);
        ["QuotaCallsInFlight", "QuotaTokensReserved"]
            .map(|name| gauge(&seen, &format!("{name}{{{QUOTA}}}")))
    };
    let [calls, tokens] = stands();
    assert_eq!(calls, 1.0);
    // The hundred that may come out, and the prompt.
    assert!(tokens > 100.0, "{tokens}");
    drop(under_way);
    assert_eq!(stands(), [0.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn a_quota_in_use_is_seen_as_its_alarm_looks_for_it() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let limits = LimitTable::new().with(
        QuotaPattern::any(),
        Limits::new()
            .with_requests_per_minute(2)
            .with_tokens_per_minute(10_000),
    );
    let metrics = QuotaMetrics::new();
    let limiter = Limiter::builder()
        .limits(limits)
        .max_wait(Duration::from_secs(10))
        .observe(metrics.clone())
        .build()
        .unwrap();
    let simulator = Simulator::new(Config::default()).unwrap();
    let service = QuotaLayer::new(limiter.clone()).layer(simulator.service());
    for _ in 0..2 {
        service.clone().oneshot(call()).await.unwrap();
    }
    assert!(service.oneshot(call()).await.is_err());
    let looking = tokio::spawn(metrics.clone().look_every(Duration::from_secs(60), limiter));
    tokio::time::sleep(Duration::from_secs(1)).await;
    looking.abort();

    let seen = recorded(&snapshotter);
    assert_eq!(
        histogram(&seen, &format!("QuotaWait{{{QUOTA}}}")),
        [0.0, 0.0]
    );
    assert_eq!(
        histogram(&seen, &format!("QuotaEstimateError{{{QUOTA}}}")).len(),
        2
    );
    assert_eq!(gauge(&seen, &format!("QuotaDebt{{{QUOTA}}}")), 0.0);
    assert_eq!(gauge(&seen, &format!("QuotaWaiting{{{QUOTA}}}")), 0.0);
    assert_eq!(gauge(&seen, &format!("QuotaCallsInFlight{{{QUOTA}}}")), 0.0);
    assert_eq!(
        gauge(&seen, &format!("QuotaTokensReserved{{{QUOTA}}}")),
        0.0
    );
    let refusals = "QuotaRefusals{ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Reason=wait_too_long,Region=us-east-1,Route=cross-region}";
    assert_eq!(*find(&seen, refusals), DebugValue::Counter(1));
    let of = |limit: &str| format!("QuotaUtilization{{Limit={limit},{QUOTA}}}");
    assert_eq!(gauge(&seen, &of("requests_per_minute")), 100.0);

    // What the alarm of this target watches is what has just been recorded.
    let operations = Operations::builder("chat")
        .target(target())
        .build()
        .unwrap();
    let alarms = operations.alarms();
    let alarm = alarms
        .iter()
        .find(|a| a.kind() == AlarmKind::QuotaNearlyUsed)
        .unwrap();
    let Query::Metric(watched) = &alarm.queries()[0] else {
        panic!("{alarm:?}");
    };
    let labels: Vec<_> = watched
        .dimensions
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert!(gauge(&seen, &format!("{}{{{}}}", watched.name, labels.join(","))) > 0.0);
}

/// A gauge keeps what it was last told, so somebody has to tell it.
#[tokio::test(start_paused = true)]
async fn quotas_and_limits_that_are_gone_leave_no_level_behind() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let table = |limits| LimitTable::new().with(QuotaPattern::any(), limits);
    let requests = Limits::new().with_requests_per_minute(4);
    let both = requests.with_tokens_per_minute(1_000);
    let limiter = |limits| Limiter::builder().limits(table(limits)).build().unwrap();
    let used = limiter(both);
    let demand = Demand::new(500).with_max_output_tokens(0);
    let (target, context) = (target(), Context::new());
    let reserved = used.reserve(&target, &demand, &context).await;
    let _reserved = reserved.unwrap();
    let metrics = QuotaMetrics::new();
    let levels = |limiter: &Limiter| {
        metrics.look(limiter);
        let seen = recorded(&snapshotter);
        ["requests_per_minute", "tokens_per_minute"]
            .map(|limit| gauge(&seen, &format!("QuotaUtilization{{Limit={limit},{QUOTA}}}")))
    };
    assert_eq!(levels(&used), [25.0, 50.0]);
    used.set_limits(table(requests)).unwrap();
    assert_eq!(levels(&used), [25.0, 0.0]);
    assert_eq!(levels(&limiter(both)), [0.0, 0.0]);
}

#[test]
fn a_store_that_is_lost_is_seen_until_it_is_back() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let metrics = QuotaMetrics::new();
    let key = QuotaKey::of(&target());
    let lost = || {
        gauge(
            &recorded(&snapshotter),
            &format!("QuotaStoreLost{{{QUOTA}}}"),
        )
    };
    metrics.store_lost(&key);
    assert_eq!(lost(), 1.0);
    metrics.store_back(&key, Duration::from_secs(1));
    assert_eq!(lost(), 0.0);
    // Nor does one limiter tell of what another had lost.
    metrics.store_lost(&key);
    metrics.store_found(&key);
    assert_eq!(lost(), 0.0);
    // Nobody tells of a quota that is forgotten meanwhile.
    let known = Limiter::builder().build().unwrap();
    let demand = Demand::new(1);
    let reserved = known.try_reserve(&target(), &demand, &Context::new());
    metrics.look(&known);
    metrics.store_lost(&key);
    metrics.look(&Limiter::builder().build().unwrap());
    assert_eq!(lost(), 0.0);
    drop(reserved);
}
