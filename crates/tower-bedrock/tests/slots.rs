//! Every layer of the standard stack can be left out, and another put in its place. (The policies: `order.rs`.)

#![cfg(feature = "stack")]
#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bedrock_sim::{
    Config, FaultName, FaultSpec, Input, Prompt, Reply, SimulatedBedrock, SimulatedError, Simulator,
};
use metrics::set_default_local_recorder;
use metrics_util::debugging::DebuggingRecorder;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, ServiceExt, layer::layer_fn, util::MapRequest};
use tower_bedrock::{
    Answer, Context, FaultKind, GaveUp, HasFault, Invocation, StandardStack, Target,
    breaker::CircuitBreakerLayer,
    quota::{LimitTable, QuotaLayer},
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};
use tracing::{Subscriber, span::Attributes, subscriber};
use tracing_subscriber::{layer::SubscriberExt, registry::LookupSpan};

const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

fn call() -> Invocation<Prompt> {
    let mut input = Input::default();
    input.add_text("Say hello.");
    Prompt::new(input)
        .with_max_output_tokens(100)
        .to(Target::parse("us-east-1", MODEL).unwrap())
}

fn hanging() -> Simulator {
    let simulator = Simulator::new(Config::default()).unwrap();
    simulator
        .add_fault(FaultSpec::new(FaultName::Hang))
        .unwrap();
    simulator
}

async fn send<S>(service: S, call: Invocation<Prompt>) -> Result<Answer<Reply>, SimulatedError>
where
    S: Service<Invocation<Prompt>, Response = Answer<Reply>, Error = SimulatedError>,
{
    service.oneshot(call).await
}

const A_DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(start_paused = true)]
async fn without_timeouts_nothing_is_ended() {
    let simulator = hanging();
    let with = StandardStack::new().unwrap().without_retry();
    let error = send(with.layer(simulator.service()), call())
        .await
        .unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Timeout);

    let without = with.without_timeouts();
    let answer = timeout(A_DAY, send(without.layer(simulator.service()), call()));
    assert!(answer.await.is_err(), "it still hangs");
}

#[tokio::test(start_paused = true)]
async fn one_of_the_two_time_limits_can_be_left_out() {
    let simulator = hanging();
    let stack = StandardStack::new()
        .unwrap()
        .without_retry()
        .without_timeouts()
        .with_request_timeout(TimeoutLayer::deadline());
    let service = stack.layer(simulator.service());
    let answer = timeout(A_DAY, send(service.clone(), call()));
    assert!(answer.await.is_err(), "it brings no deadline");

    let start = Instant::now();
    let context = Context::new().with_deadline(start + Duration::from_secs(500));
    let error = send(service, call().with_context(context))
        .await
        .unwrap_err();
    assert_eq!(
        (error.fault().kind(), start.elapsed()),
        (FaultKind::DeadlineExceeded, Duration::from_secs(500))
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_of_ones_own() {
    // A deadline that keeps retries from beginning, and ends nothing.
    let stack = StandardStack::new()
        .unwrap()
        .with_request_timeout(layer_fn(|inner| {
            MapRequest::new(inner, |call: Invocation<Prompt>| {
                let deadline = Instant::now() + Duration::from_secs(4);
                call.with_context(Context::new().with_deadline(deadline))
            })
        }))
        .with_attempt_timeout(TimeoutLayer::attempt(Duration::from_secs(5)).unwrap());
    let start = Instant::now();
    let error = send(stack.layer(hanging().service()), call())
        .await
        .unwrap_err();
    let history = error.history().unwrap();
    assert_eq!(
        (history.attempts, history.gave_up, start.elapsed()),
        (1, Some(GaveUp::Deadline), Duration::from_secs(5))
    );
}

/// The names of all metrics that calls leave.
async fn recorded<S>(service: impl FnOnce() -> S) -> Vec<String>
where
    S: Service<Invocation<Prompt>, Response = Answer<Reply>, Error = SimulatedError> + Clone,
{
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let service = service();
    for _ in 0..3 {
        send(service.clone(), call()).await.unwrap();
    }
    let keys = snapshotter.snapshot().into_vec().into_iter();
    keys.map(|(key, ..)| key.key().name().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn without_metrics_nothing_is_recorded() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let whole = || StandardStack::new().unwrap().layer(simulator.service());
    let seen = recorded(whole).await;
    for name in ["Invocations", "Requests", "QuotaWait"] {
        assert!(seen.iter().any(|seen| seen == name), "{name}: {seen:?}");
    }

    let without = || {
        let stack = StandardStack::new().unwrap().without_metrics();
        stack.layer(simulator.service())
    };
    let seen = recorded(without).await;
    assert!(
        seen.iter()
            .all(|name| !["Invocations", "Requests"].contains(&name.as_str())),
        "what policies tell of is left: {seen:?}"
    );

    let silent = || {
        StandardStack::new()
            .unwrap()
            .without_metrics()
            .with_retry(RetryLayer::new(Policy::default()))
            .with_breaker(CircuitBreakerLayer::builder().build().unwrap())
            .with_quota(QuotaLayer::with_limits(LimitTable::new()).unwrap())
            .layer(simulator.service())
    };
    assert_eq!(recorded(silent).await, [] as [String; 0]);
}

/// Takes down the names of spans.
struct Spans(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Spans {
    fn on_new_span(
        &self,
        attributes: &Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        self.0.lock().unwrap().push(attributes.metadata().name());
    }
}

#[tokio::test(start_paused = true)]
async fn without_trace_no_span_is_made() {
    let spans = Arc::new(Mutex::new(Vec::new()));
    // Where there is but one subscriber, whoever comes first to a span asks its own thread's whether it is wanted: that
    // of another test, which has none.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard =
        subscriber::set_default(tracing_subscriber::registry().with(Spans(Arc::clone(&spans))));
    let simulator = Simulator::new(Config::default()).unwrap();
    let stack = StandardStack::new().unwrap();
    send(stack.layer(simulator.service()), call())
        .await
        .unwrap();
    assert_eq!(
        *spans.lock().unwrap(),
        ["bedrock.request", "bedrock.attempt"]
    );

    spans.lock().unwrap().clear();
    send(stack.without_trace().layer(simulator.service()), call())
        .await
        .unwrap();
    assert_eq!(*spans.lock().unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn with_every_slot_empty_the_leaf_is_left() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let leaf = simulator.service();
    let stack = StandardStack::new()
        .unwrap()
        .without_metrics()
        .without_trace()
        .without_timeouts()
        .without_quota()
        .without_breaker()
        .without_retry();
    let bare: SimulatedBedrock = stack.layer(leaf);
    send(bare, call()).await.unwrap();
}
