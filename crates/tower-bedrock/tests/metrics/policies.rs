//! Breaker, time limits and retry.

use std::future::pending;

use bedrock_sim::{Config, FaultName, FaultSpec, Simulator};
use metrics::set_default_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock::{Answer, BoxError, Invocation, StandardStack};

use crate::support::{CLAUDE, QUOTA, call, find, gauge, histogram, recorded, target};

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
    assert_eq!(
        *find(&seen, &format!("QuotaThrottles{{{QUOTA}}}")),
        DebugValue::Counter(2)
    );
}
