//! The cache, in each of the places that it may have in the stack.

use std::time::Duration;

use bedrock_sim::{
    Config, FaultName, FaultSpec, Prompt, Reply, SimulatedBedrock, SimulatedError, Simulator,
};
use metrics::set_default_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, layer::util::Stack};
use tower_bedrock::{
    Answer, HasCompletion, Invocation, StandardStack,
    cache::{CacheLayer, Key},
    fallback::{Alternative, Chain, FallbackLayer},
    metrics::CacheMetrics,
};

use crate::support::{CLAUDE, call, find, recorded};

type KeyOf = fn(&Invocation<Prompt>) -> Option<Key>;
type BytesOf = fn(&Reply) -> usize;
type Cache = CacheLayer<KeyOf, BytesOf, Reply>;

const NOVA: &str = "us.amazon.nova-pro-v1:0";

/// What is recorded of a call, of the same again, and of the same once more when the answer is no longer fresh and
/// Bedrock is down.
async fn outage<L>(place: impl FnOnce(StandardStack, Cache) -> L) -> Vec<(String, DebugValue)>
where
    L: Layer<SimulatedBedrock>,
    L::Service:
        Service<Invocation<Prompt>, Response = Answer<Reply>, Error = SimulatedError> + Clone,
{
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = set_default_local_recorder(&recorder);
    let simulator = Simulator::new(Config::default()).unwrap();
    let stack = StandardStack::new().unwrap();
    let metrics = CacheMetrics::from(stack.target_metrics().clone());
    let key: KeyOf = |call| Some(Key::of(call, "Converse", b"Say hello."));
    let cache = Cache::builder(key, (|_| 100) as BytesOf)
        .fresh_for(Duration::from_secs(60))
        .observer(metrics)
        .build()
        .unwrap();
    let service = place(stack, cache).layer(simulator.service());
    for _ in 0..2 {
        service.clone().oneshot(call()).await.unwrap();
    }
    advance(Duration::from_secs(61)).await;
    simulator
        .add_fault(FaultSpec::new(FaultName::Unavailable))
        .unwrap();
    let stale = service.oneshot(call()).await.unwrap();
    assert!(stale.history().unwrap().degraded.is_some());
    recorded(&snapshotter)
}

fn assert_counted<const N: usize>(seen: &[(String, DebugValue)], expected: [(&str, u64); N]) {
    for (metric, count) in expected {
        let name = format!("{metric}{{ModelId={CLAUDE},Region=us-east-1}}");
        assert_eq!(*find(seen, &name), DebugValue::Counter(count), "{metric}");
    }
    let failed = |(name, _): &(String, DebugValue)| name.starts_with("RequestErrors");
    assert!(!seen.iter().any(failed), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn in_its_slot() {
    let seen = outage(StandardStack::with_cache).await;
    let expected = [
        ("CacheHits", 1),
        ("CacheMisses", 2),
        ("CacheSharedAnswers", 0),
        ("DegradedAnswers", 1),
        ("Requests", 3),
    ];
    assert_counted(&seen, expected);
}

/// There it stands in before the layer has to, and is counted once all the same.
#[tokio::test(start_paused = true)]
async fn as_the_last_hop_of_a_fallback() {
    let seen = outage(|stack, cache| {
        let chain =
            Chain::new(CLAUDE.parse().unwrap()).or(Alternative::model(NOVA.parse().unwrap()));
        let fallback = FallbackLayer::new([chain]).unwrap();
        let fallback = fallback.or_degraded(cache.responder());
        stack.with_fallback(Stack::new(fallback, cache))
    });
    let expected = [
        ("CacheHits", 1),
        ("CacheMisses", 2),
        ("DegradedAnswers", 1),
        ("FallbackModelInvocations", 0),
        ("Requests", 3),
    ];
    assert_counted(&seen.await, expected);
}
