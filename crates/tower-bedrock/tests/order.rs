//! Why each layer of the standard stack stands where it does, over the simulator in paused time.

#![cfg(feature = "stack")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bedrock_sim::{Config, FaultName, FaultSpec, Input, Prompt, Reply, SimulatedError, Simulator};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};
use tower_bedrock::{
    Answer, Context, FaultKind, GaveUp, HasCompletion, HasFault, Invocation, StandardStack, Target,
    breaker::CircuitBreakerLayer,
    fallback::{Alternative, Chain, FallbackLayer},
    quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern},
    timeout::TimeoutLayer,
};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const NOVA: &str = "us.amazon.nova-pro-v1:0";
const NOVA_LITE: &str = "us.amazon.nova-lite-v1:0";
const NOVA_MICRO: &str = "us.amazon.nova-micro-v1:0";

fn call(model: &str) -> Invocation<Prompt> {
    let mut input = Input::default();
    input.add_text("Say hello.");
    Prompt::new(input)
        .with_max_output_tokens(100)
        .to(Target::parse("us-east-1", model).unwrap())
}

fn to_nova() -> FallbackLayer {
    let chain = Chain::new(CLAUDE.parse().unwrap()).or(Alternative::model(NOVA.parse().unwrap()));
    FallbackLayer::new([chain]).unwrap()
}

async fn send<S>(service: &S, call: Invocation<Prompt>) -> Result<Answer<Reply>, SimulatedError>
where
    S: Service<Invocation<Prompt>, Response = Answer<Reply>, Error = SimulatedError> + Clone,
{
    service.clone().oneshot(call).await
}

fn calls(simulator: &Simulator, model: &str) -> usize {
    simulator
        .ledger()
        .entries
        .iter()
        .filter(|entry| entry.model.as_str() == model)
        .count()
}

fn failing(kind: FaultName) -> Simulator {
    let simulator = Simulator::new(Config::default()).unwrap();
    simulator
        .add_fault(FaultSpec::new(kind).for_model(CLAUDE))
        .unwrap();
    simulator
}

#[tokio::test(start_paused = true)]
async fn each_hop_has_its_own_retries() {
    let simulator = failing(FaultName::Unavailable);
    let stack = StandardStack::new()
        .unwrap()
        .without_breaker()
        .with_fallback(to_nova());
    let answer = send(&stack.layer(simulator.service()), call(CLAUDE))
        .await
        .unwrap();
    assert_eq!((calls(&simulator, CLAUDE), calls(&simulator, NOVA)), (5, 1));
    let history = answer.history().unwrap();
    assert_eq!(history.attempts, 6);
    assert_eq!(history.failed_hops[0].attempts, 5);
    assert_eq!(history.served_by.as_ref().unwrap().model().as_str(), NOVA);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_asked_for_so_a_breaker_opens_amid_the_retries() {
    let simulator = failing(FaultName::Internal);
    let breaker = CircuitBreakerLayer::builder()
        .consecutive_failures(3)
        .build()
        .unwrap();
    let stack = StandardStack::new().unwrap().with_breaker(breaker);
    let error = send(&stack.layer(simulator.service()), call(CLAUDE))
        .await
        .unwrap_err();
    // The fourth attempt is turned away, and a call that is turned away is not tried again.
    assert_eq!(calls(&simulator, CLAUDE), 3);
    assert_eq!(error.fault().kind(), FaultKind::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_breaker_turns_away_costs_no_quota() {
    let simulator = failing(FaultName::Internal);
    let breaker = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .build()
        .unwrap();
    let limits = LimitTable::new().with(
        QuotaPattern::any(),
        Limits::new().with_tokens_per_minute(10_000),
    );
    let limiter = Limiter::new(limits).unwrap();
    let stack = StandardStack::new()
        .unwrap()
        .without_retry()
        .with_breaker(breaker)
        .with_quota(QuotaLayer::new(limiter.clone()));
    let service = stack.layer(simulator.service());
    for _ in 0..10 {
        send(&service, call(CLAUDE)).await.unwrap_err();
    }
    assert_eq!(calls(&simulator, CLAUDE), 1);
    let snapshot = limiter
        .snapshot(&Target::parse("us-east-1", CLAUDE).unwrap())
        .unwrap();
    assert_eq!(snapshot.calls_in_flight, 0);
    assert!(
        snapshot.tokens_per_minute.used < 1_000,
        "one call's at most: {snapshot:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_quota_is_not_held_against_bedrock() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let limits = LimitTable::new().with(
        QuotaPattern::any(),
        Limits::new().with_requests_per_minute(1),
    );
    let stack = StandardStack::new()
        .unwrap()
        .with_quota(QuotaLayer::with_limits(limits).unwrap())
        .with_attempt_timeout(TimeoutLayer::attempt(Duration::from_secs(20)).unwrap());
    let service = stack.layer(simulator.service());
    send(&service, call(NOVA)).await.unwrap();
    let start = Instant::now();
    let answer = send(&service, call(NOVA)).await.unwrap();
    assert!(
        start.elapsed() > Duration::from_secs(50),
        "it waited for its turn, longer than an attempt may take"
    );
    assert_eq!(answer.history().unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_opens_its_breaker() {
    let simulator = failing(FaultName::Hang);
    let breaker = CircuitBreakerLayer::builder()
        .consecutive_failures(2)
        .build()
        .unwrap();
    let stack = StandardStack::new()
        .unwrap()
        .with_breaker(breaker)
        .with_attempt_timeout(TimeoutLayer::attempt(Duration::from_secs(10)).unwrap());
    let error = send(&stack.layer(simulator.service()), call(CLAUDE))
        .await
        .unwrap_err();
    assert_eq!(
        (calls(&simulator, CLAUDE), error.fault().kind()),
        (2, FaultKind::CircuitOpen)
    );
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_everything_inside() {
    let simulator = failing(FaultName::Hang);
    let stack = StandardStack::new()
        .unwrap()
        .without_breaker()
        .with_fallback(to_nova());
    let service = stack.layer(simulator.service());
    let start = Instant::now();
    let deadline = start + Duration::from_secs(150);
    let error = send(
        &service,
        call(CLAUDE).with_context(Context::new().with_deadline(deadline)),
    )
    .await
    .unwrap_err();
    assert_eq!(
        (error.fault().kind(), start.elapsed()),
        (FaultKind::DeadlineExceeded, Duration::from_secs(150))
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_goes_to_the_fallback_at_once() {
    // LiteLLM ignored a Retry-After of 90 s and tried again after 0.57 s.
    let simulator = Simulator::new(Config::default()).unwrap();
    let mut overloaded = FaultSpec::new(FaultName::Overloaded529).for_model(CLAUDE);
    overloaded.retry_after = Some(90);
    simulator.add_fault(overloaded).unwrap();
    let stack = StandardStack::new().unwrap().with_fallback(to_nova());
    let start = Instant::now();
    let context = Context::new().with_deadline(start + Duration::from_secs(60));
    let answer = send(
        &stack.layer(simulator.service()),
        call(CLAUDE).with_context(context),
    )
    .await
    .unwrap();
    assert_eq!((calls(&simulator, CLAUDE), calls(&simulator, NOVA)), (1, 1));
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(
        answer.history().unwrap().failed_hops[0].fault.kind(),
        FaultKind::Overloaded
    );
}

#[tokio::test(start_paused = true)]
async fn a_chain_asks_the_quota_and_the_breaker_before_it_lets_a_call_wait() {
    let simulator = failing(FaultName::Internal);
    let limits = LimitTable::new().with(
        QuotaPattern::model("amazon.nova-pro-*"),
        Limits::new().with_requests_per_minute(1),
    );
    let chain = |from: &str, to: &str| {
        Chain::new(from.parse().unwrap()).or(Alternative::model(to.parse().unwrap()))
    };
    let stack = StandardStack::new()
        .unwrap()
        .without_retry()
        .with_quota(QuotaLayer::with_limits(limits).unwrap())
        .with_chains([chain(NOVA, NOVA_LITE), chain(CLAUDE, NOVA_MICRO)])
        .unwrap();
    let service = stack.layer(simulator.service());
    let start = Instant::now();
    for _ in 0..2 {
        send(&service, call(NOVA)).await.unwrap();
    }
    // The first one's quota is used up for a minute.
    assert_eq!(
        (calls(&simulator, NOVA), calls(&simulator, NOVA_LITE)),
        (1, 1)
    );
    assert!(start.elapsed() < Duration::from_secs(20));

    for _ in 0..10 {
        send(&service, call(CLAUDE)).await.unwrap();
    }
    // Its breaker opens with the fifth failure.
    assert_eq!(
        (calls(&simulator, CLAUDE), calls(&simulator, NOVA_MICRO)),
        (5, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn a_callers_mistake_goes_nowhere_else() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let stack = StandardStack::new().unwrap().with_fallback(to_nova());
    let service = stack.layer(simulator.service());
    let error = send(&service, call("no.such-model")).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Validation);
    assert_eq!(simulator.ledger().entries.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_out_of_attempts_says_so() {
    let simulator = failing(FaultName::Unavailable);
    let stack = StandardStack::new().unwrap().without_breaker();
    let error = send(&stack.layer(simulator.service()), call(CLAUDE))
        .await
        .unwrap_err();
    let history = error.history().unwrap();
    assert_eq!(
        (history.attempts, history.gave_up),
        (5, Some(GaveUp::MaxAttempts))
    );
}

#[tokio::test(start_paused = true)]
async fn it_recovers_when_bedrock_does() {
    let simulator = failing(FaultName::Internal);
    let service = StandardStack::new().unwrap().layer(simulator.service());
    send(&service, call(CLAUDE)).await.unwrap_err();
    simulator.clear_faults();
    sleep(Duration::from_secs(61)).await;
    for _ in 0..20 {
        send(&service, call(CLAUDE)).await.unwrap();
    }
}
