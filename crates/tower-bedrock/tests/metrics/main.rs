//! What policies report arrives at the recorder under the names of the table.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    future::pending,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    time::Duration,
};

use bedrock_sim::{Config, FaultName, FaultSpec, Input, Prompt, Simulator};
use metrics::set_default_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bedrock::{
    Answer, BoxError, Context, Demand, Fault, FaultKind, HasTarget, Invocation, StandardStack,
    Target, TokenUsage,
    breaker::CircuitBreakerLayer,
    cloudwatch::{
        operations::{AlarmKind, Operations, Query},
        recorder::{Batch, CloudWatchRecorder, Sink, SinkError},
    },
    fallback::{Alternative, Chain, FallbackLayer},
    metrics::{BreakerMetrics, QuotaMetrics, RetryMetrics},
    quota::{LimitTable, Limiter, Limits, Observe, QuotaKey, QuotaLayer, QuotaPattern},
    retry::{Policy, RetryLayer},
};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

fn target() -> Target {
    Target::parse("us-east-1", CLAUDE).unwrap()
}

fn call() -> Invocation<Prompt> {
    let mut input = Input::default();
    input.add_text("Say hello.");
    Prompt::new(input).with_max_output_tokens(100).to(target())
}

/// What was recorded since the last look, by `name{label=value,...}` with labels in the order of names.
fn recorded(snapshotter: &Snapshotter) -> Vec<(String, DebugValue)> {
    let snapshot = snapshotter.snapshot().into_vec();
    let recorded = snapshot.into_iter().map(|(key, _, _, value)| {
        let mut labels: Vec<_> = key
            .key()
            .labels()
            .map(|l| format!("{}={}", l.key(), l.value()))
            .collect();
        labels.sort();
        (
            format!("{}{{{}}}", key.key().name(), labels.join(",")),
            value,
        )
    });
    recorded.collect()
}

fn find<'a>(recorded: &'a [(String, DebugValue)], name: &str) -> &'a DebugValue {
    let found = recorded.iter().find(|(key, _)| key == name);
    let Some((_, value)) = found else {
        let keys: Vec<_> = recorded.iter().map(|(key, _)| key).collect();
        panic!("no {name} among {keys:#?}");
    };
    value
}

fn gauge(recorded: &[(String, DebugValue)], name: &str) -> f64 {
    match find(recorded, name) {
        DebugValue::Gauge(value) => value.into_inner(),
        other => panic!("{name} is {other:?}"),
    }
}

fn histogram(recorded: &[(String, DebugValue)], name: &str) -> Vec<f64> {
    match find(recorded, name) {
        DebugValue::Histogram(values) => values.iter().map(|value| value.into_inner()).collect(),
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_is_seen() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let simulator = Simulator::new(Config::default()).unwrap();
    simulator
        .add_fault(FaultSpec::new(FaultName::Internal).for_model(CLAUDE))
        .unwrap();
    let service = StandardStack::new()
        .unwrap()
        .without_retry()
        .layer(simulator.service());
    for _ in 0..5 {
        service.clone().oneshot(call()).await.unwrap_err();
    }
    let seen = recorded(&snapshotter);
    assert_eq!(
        gauge(
            &seen,
            &format!("CircuitBreakerState{{ModelId={CLAUDE},Region=us-east-1}}")
        ),
        2.0
    );
    let transitions =
        format!("CircuitBreakerTransitions{{ModelId={CLAUDE},Region=us-east-1,State=open}}");
    assert_eq!(*find(&seen, &transitions), DebugValue::Counter(1));
}

/// So an alarm has something to watch, and clients that name models cannot take the labels away.
#[test]
fn what_policies_report_of_targets_that_are_named_is_there_from_the_beginning() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let _stack = StandardStack::new().unwrap().with_targets([target()]);
    let seen = recorded(&snapshotter);
    let of = |metric: &str| format!("{metric}{{ModelId={CLAUDE},Region=us-east-1}}");
    assert_eq!(gauge(&seen, &of("CircuitBreakerState")), 0.0);
    assert!(histogram(&seen, &of("RetryDelay")).is_empty());
}

/// It was Bedrock that did not answer: nobody cancelled the attempt.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_a_fault_of_bedrocks() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let leaf = service_fn(|_: Invocation<()>| pending::<Result<Answer<()>, BoxError>>());
    let service = StandardStack::new().unwrap().without_retry().layer(leaf);
    let call = service.oneshot(Invocation::new(target(), ()));
    call.await.unwrap_err();
    let seen = recorded(&snapshotter);
    let of = |labels: &str| format!("{{{labels}ModelId={CLAUDE},Region=us-east-1}}");
    let errors = format!("InvocationServerErrors{}", of("Fault=timeout,"));
    assert_eq!(*find(&seen, &errors), DebugValue::Counter(1));
    let cancelled = format!("CancelledInvocations{}", of(""));
    assert_eq!(*find(&seen, &cancelled), DebugValue::Counter(0));
}

#[tokio::test(start_paused = true)]
async fn waits_before_retries_are_seen() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let simulator = Simulator::new(Config::default()).unwrap();
    let mut fault = FaultSpec::new(FaultName::ThrottleTokens).for_model(CLAUDE);
    fault.times = Some(2);
    simulator.add_fault(fault).unwrap();
    let service = StandardStack::new().unwrap().layer(simulator.service());
    service.oneshot(call()).await.unwrap();
    let seen = recorded(&snapshotter);
    let waits = histogram(
        &seen,
        &format!("RetryDelay{{ModelId={CLAUDE},Region=us-east-1}}"),
    );
    assert_eq!(waits.len(), 2);
    // The default quota let both through.
    let quota =
        "ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Region=us-east-1,Route=cross-region";
    assert_eq!(
        *find(&seen, &format!("QuotaThrottles{{{quota}}}")),
        DebugValue::Counter(2)
    );
}

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
    let quota =
        "ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Region=us-east-1,Route=cross-region";
    let stands = || {
        metrics.look(&limiter);
        let seen = recorded(&snapshotter);
        ["QuotaCallsInFlight", "QuotaTokensReserved"]
            .map(|name| gauge(&seen, &format!("{name}{{{quota}}}")))
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
    let quota =
        "ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Region=us-east-1,Route=cross-region";
    assert_eq!(
        histogram(&seen, &format!("QuotaWait{{{quota}}}")),
        [0.0, 0.0]
    );
    assert_eq!(
        histogram(&seen, &format!("QuotaEstimateError{{{quota}}}")).len(),
        2
    );
    assert_eq!(gauge(&seen, &format!("QuotaDebt{{{quota}}}")), 0.0);
    assert_eq!(gauge(&seen, &format!("QuotaWaiting{{{quota}}}")), 0.0);
    assert_eq!(gauge(&seen, &format!("QuotaCallsInFlight{{{quota}}}")), 0.0);
    assert_eq!(
        gauge(&seen, &format!("QuotaTokensReserved{{{quota}}}")),
        0.0
    );
    let refusals = "QuotaRefusals{ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Reason=wait_too_long,Region=us-east-1,Route=cross-region}";
    assert_eq!(*find(&seen, refusals), DebugValue::Counter(1));
    let of = |limit: &str| format!("QuotaUtilization{{Limit={limit},{quota}}}");
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
        let quota =
            "ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Region=us-east-1,Route=cross-region";
        ["requests_per_minute", "tokens_per_minute"]
            .map(|limit| gauge(&seen, &format!("QuotaUtilization{{Limit={limit},{quota}}}")))
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
    let quota =
        "ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Region=us-east-1,Route=cross-region";
    let lost = || {
        gauge(
            &recorded(&snapshotter),
            &format!("QuotaStoreLost{{{quota}}}"),
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

/// The standard stack in trouble of every kind sends all that alarms look for, under the very names and dimensions.
#[tokio::test(start_paused = true)]
async fn every_series_that_an_alarm_watches_is_sent() {
    let recorder = CloudWatchRecorder::builder()
        .dimension("Service", "chat")
        .build()
        .unwrap();
    let _guard = set_default_local_recorder(&recorder);
    let limits = LimitTable::new().with(
        QuotaPattern::any(),
        Limits::new().with_tokens_per_minute(10_000_000),
    );
    let metrics = QuotaMetrics::new().with_targets(&[target()]);
    let limiter = Limiter::builder()
        .limits(limits)
        .observe(metrics.clone())
        .build()
        .unwrap();
    let chain = Chain::new(CLAUDE.parse().unwrap()).or(Alternative::model(
        "us.amazon.nova-pro-v1:0".parse().unwrap(),
    ));
    let stack = StandardStack::new()
        .unwrap()
        .with_targets([target()])
        .with_quota(QuotaLayer::new(limiter.clone()))
        .without_retry();
    let helped = stack
        .clone()
        .with_fallback(FallbackLayer::new([chain]).unwrap());
    let call = |trouble: Option<FaultKind>| Invocation::new(target(), trouble);
    let leaf = service_fn(|call: Invocation<Option<FaultKind>>| async move {
        match *call.input() {
            Some(kind) if *HasTarget::target(&call) == target() => Err(Fault::new(kind).into()),
            _ => Ok::<_, BoxError>(Answer::new(())),
        }
    });
    for mistake in FaultKind::ALL {
        if mistake.is_callers_mistake() {
            let alone = stack.layer(leaf);
            alone.oneshot(call(Some(mistake))).await.unwrap_err();
        }
    }
    let troubles = [
        FaultKind::ThrottledTokens,
        FaultKind::TooManyConnections,
        FaultKind::Unavailable,
    ];
    // The last of them until the breaker opens.
    for trouble in troubles.into_iter().chain([FaultKind::Unavailable; 20]) {
        let helped = helped.layer(leaf);
        helped.oneshot(call(Some(trouble))).await.unwrap();
    }
    metrics.store_lost(&QuotaKey::of(&target()));
    metrics.look(&limiter);

    let sent = Sent::default();
    recorder.worker(sent.clone()).flush().await.unwrap();
    let sent = sent.0.lock().unwrap();
    let operations = Operations::builder("chat")
        .dimension("Service", "chat")
        .target(target())
        .build()
        .unwrap();
    for alarm in operations.alarms() {
        for query in alarm.queries() {
            if let Query::Metric(watched) = query {
                let dimensions = watched.dimensions.iter();
                let dimensions: Vec<_> =
                    dimensions.map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let series = series(watched.name, dimensions);
                assert!(
                    sent.contains(&series),
                    "{:?} watches {series}, but sent was {sent:#?}",
                    alarm.kind()
                );
            }
        }
    }
}

/// A CloudWatch that remembers the names and dimensions of what it was sent.
#[derive(Clone, Debug, Default)]
struct Sent(Arc<Mutex<BTreeSet<String>>>);

impl Sink for Sent {
    async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let data = batch.data().iter();
        let data = data.map(|datum| series(datum.name(), datum.dimensions()));
        self.0.lock().unwrap().extend(data);
        Ok(())
    }
}

fn series<'a>(name: &str, dimensions: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let dimensions: Vec<_> = dimensions
        .into_iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    format!("{name}{{{}}}", dimensions.join(","))
}

/// With everything that is recorded on the way.
#[test]
fn a_successful_call_allocates_nothing() {
    // Not the one for debugging, which keeps a list of values.
    let recorder = CloudWatchRecorder::builder().build().unwrap();
    let _guard = set_default_local_recorder(&recorder);
    let limits = LimitTable::new().with(
        QuotaPattern::any(),
        Limits::new().with_tokens_per_minute(1_000_000_000),
    );
    let limiter = Limiter::builder()
        .limits(limits)
        .observe(QuotaMetrics::new())
        .build()
        .unwrap();
    let usage = TokenUsage {
        input: 10,
        output: 5,
        ..TokenUsage::default()
    };
    let leaf = service_fn(move |_: Invocation<()>| async move {
        Ok::<_, BoxError>(Answer::new(()).with_usage(usage))
    });
    let layers = (
        RetryLayer::builder(Policy::default())
            .observer(RetryMetrics::new())
            .build(),
        CircuitBreakerLayer::builder()
            .observer(BreakerMetrics::new())
            .build()
            .unwrap(),
        QuotaLayer::new(limiter),
    );
    let mut service = layers.layer(leaf);
    let demand = Demand::new(10).with_max_output_tokens(100);
    let request = Invocation::new(target(), ()).with_demand(demand);
    let mut call = || {
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let mut response = pin!(service.call(request.clone()));
        assert!(matches!(
            response.as_mut().poll(&mut cx),
            Poll::Ready(Ok(_))
        ));
    };
    (0..3).for_each(|_| call());
    let allocated = allocation_counter::measure(|| (0..100).for_each(|_| call()));
    assert_eq!(allocated.count_total, 0);
}
