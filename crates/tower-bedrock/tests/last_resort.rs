//! What the standard stack answers when every hop has failed: what a cache has kept, else a canned answer, else the
//! error. Over the simulator, in paused time.

#![cfg(all(feature = "cache", feature = "stack"))]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bedrock_sim::{Config, FaultName, FaultSpec, Input, Prompt, Reply, SimulatedError, Simulator};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, layer::util::Stack, service_fn};
use tower_bedrock::{
    Answer, Context, FaultKind, HasCompletion, HasFault, HasTarget, Invocation, StandardStack,
    Target,
    cache::{Builder, CacheLayer, Key, NotKept},
    fallback::{Alternative, Chain, FallbackLayer},
    timeout::TimeoutLayer,
};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const NOVA: &str = "us.amazon.nova-pro-v1:0";
const CANNED: &str = "Please try again later.";
const HOUR: Duration = Duration::from_secs(3_600);

type Call = Invocation<Prompt>;
type Text = Answer<String>;
type KeyOf = fn(&Call) -> Option<Key>;
type BytesOf = fn(&String) -> usize;
type Cache = CacheLayer<KeyOf, BytesOf, String>;

fn call() -> Call {
    let mut input = Input::default();
    input.add_text("Say hello.");
    Prompt::new(input)
        .with_max_output_tokens(100)
        .to(Target::parse("us-east-1", CLAUDE).unwrap())
}

fn builder() -> Builder<KeyOf, BytesOf> {
    let key: KeyOf = |call| Some(Key::of(call, "Converse", b"Say hello."));
    Cache::builder(key, String::len as BytesOf).stale_for(2 * HOUR)
}

/// Keeps answers, and leaves it to the last hop to give them again.
fn cache() -> Cache {
    builder().stale_if(|_| false).build().unwrap()
}

fn chain() -> FallbackLayer {
    let chain = Chain::new(CLAUDE.parse().unwrap()).or(Alternative::model(NOVA.parse().unwrap()));
    FallbackLayer::new([chain]).unwrap()
}

/// The simulator, with the name of the model that answers as the text of its answer.
fn leaf(
    simulator: &Simulator,
) -> impl Service<Call, Response = Text, Error = SimulatedError, Future: Send> + Clone + use<> {
    let bedrock = simulator.service();
    service_fn(move |call: Call| {
        let model = call.target().model().as_str().to_owned();
        let answer = bedrock.clone().oneshot(call);
        async move {
            answer
                .await
                .map(|answer: Answer<Reply>| answer.map(|_| model))
        }
    })
}

/// The standard stack, with what is kept as its last resort.
fn service(
    simulator: &Simulator,
) -> impl Service<Call, Response = Text, Error = SimulatedError> + Clone + use<> {
    let cache = cache();
    let fallback = chain().or_degraded(cache.responder());
    StandardStack::new()
        .unwrap()
        .with_fallback(Stack::new(fallback, cache))
        .layer(leaf(simulator))
}

/// Every hop's model fails from now on.
fn fail(simulator: &Simulator, kind: FaultName) {
    simulator.clear_faults();
    simulator.add_fault(FaultSpec::new(kind)).unwrap();
}

async fn send<S>(service: &S, call: Call) -> Result<Text, SimulatedError>
where
    S: Service<Call, Response = Text, Error = SimulatedError> + Clone,
{
    service.clone().oneshot(call).await
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_stands_in_for_hops_that_all_failed() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let service = service(&simulator);

    let answer = send(&service, call()).await.unwrap();
    assert_eq!(answer.history().unwrap().degraded, None);
    let tenant = || call().with_context(Context::new().with_tenant("b"));

    fail(&simulator, FaultName::Unavailable);
    advance(HOUR).await;
    let stale = send(&service, call()).await.unwrap();
    assert_eq!(stale.output(), CLAUDE);
    assert_eq!(stale.usage(), None, "it cost nothing this time");
    let history = stale.history().unwrap();
    let age = history.degraded.unwrap().age.unwrap();
    assert!((HOUR..HOUR + HOUR / 2).contains(&age), "{age:?}");
    let hops: Vec<_> = history
        .failed_hops
        .iter()
        .map(|hop| (hop.target.model().as_str(), hop.fault.kind(), hop.attempts))
        .collect();
    assert_eq!(
        hops,
        [
            (CLAUDE, FaultKind::Unavailable, 5),
            (NOVA, FaultKind::Unavailable, 5)
        ]
    );
    assert_eq!((history.attempts, &history.served_by), (10, &None));

    // Nobody else's, and not for ever; and what was given again has not been kept anew.
    assert!(send(&service, tenant()).await.is_err());
    advance(HOUR + Duration::from_secs(1)).await;
    let error = send(&service, call()).await.unwrap_err();
    assert_eq!(error.history().unwrap().failed_hops.len(), 2);

    // What the other model answers is nothing to keep.
    simulator.clear_faults();
    let claude = FaultSpec::new(FaultName::Unavailable).for_model(CLAUDE);
    simulator.add_fault(claude).unwrap();
    advance(HOUR).await;
    assert_eq!(send(&service, call()).await.unwrap().output(), NOVA);
    fail(&simulator, FaultName::Unavailable);
    advance(Duration::from_secs(61)).await;
    assert!(send(&service, call()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_canned_answer_where_nothing_is_kept() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let cache = cache();
    let canned = |_| Answer::new(CANNED.to_owned());
    let last = cache
        .responder()
        .map_result(move |kept: Result<Text, _>| Ok::<_, NotKept>(kept.unwrap_or_else(canned)));
    let service = StandardStack::new()
        .unwrap()
        .with_fallback(Stack::new(chain().or_degraded(last), cache))
        .layer(leaf(&simulator));

    fail(&simulator, FaultName::Unavailable);
    for _ in 0..2 {
        let answer = send(&service, call()).await.unwrap();
        assert_eq!(answer.output(), CANNED);
        // Canned, not kept: it has no age.
        let degraded = answer.history().unwrap().degraded.unwrap();
        assert_eq!(degraded.age, None);
    }

    // Back again, and down once more: now there is a better answer than the canned one.
    simulator.clear_faults();
    advance(Duration::from_secs(61)).await;
    let answer = send(&service, call()).await.unwrap();
    assert_eq!(answer.output(), CLAUDE);
    assert_eq!(answer.history().unwrap().degraded, None);
    fail(&simulator, FaultName::Unavailable);
    let answer = send(&service, call()).await.unwrap();
    assert_eq!(answer.output(), CLAUDE);
    assert!(answer.history().unwrap().degraded.unwrap().age.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_callers_mistake_is_answered_with_its_error() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let service = service(&simulator);
    send(&service, call()).await.unwrap();
    let target = Target::parse("us-east-1", "us.amazon.no-such-model-v1:0").unwrap();
    let mistaken = Invocation::new(target, call().into_input());
    let error = send(&service, mistaken).await.unwrap_err();
    assert!(error.fault().kind().is_callers_mistake(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_open_leaves_the_kept_answer_at_once() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let service = service(&simulator);
    send(&service, call()).await.unwrap();
    fail(&simulator, FaultName::Unavailable);
    send(&service, call()).await.unwrap();
    let calls = simulator.ledger().entries.len();
    let answer = send(&service, call()).await.unwrap();
    assert!(answer.history().unwrap().degraded.is_some());
    assert_eq!(simulator.ledger().entries.len(), calls);
}

/// Why a cache of the stack's own stands around its time limit. Whichever of the two was put into its slot first.
#[tokio::test(start_paused = true)]
async fn a_request_that_ran_out_of_time_is_answered_from_a_cache_around_its_limit() {
    let simulator = Simulator::new(Config::default()).unwrap();
    let service = StandardStack::new()
        .unwrap()
        .with_cache(builder().build().unwrap())
        .with_request_timeout(TimeoutLayer::request(Duration::from_secs(30)).unwrap())
        .layer(leaf(&simulator));
    send(&service, call()).await.unwrap();
    fail(&simulator, FaultName::Hang);
    let answer = send(&service, call()).await.unwrap();
    assert!(answer.history().unwrap().degraded.is_some());
}
