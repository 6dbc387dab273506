//! What recording costs.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use metrics::set_default_local_recorder;
use tower::{Layer, Service, service_fn};
use tower_bedrock::{
    Answer, BoxError, Demand, Invocation, TokenUsage,
    breaker::CircuitBreakerLayer,
    cache::Observer,
    cloudwatch::recorder::CloudWatchRecorder,
    metrics::{BreakerMetrics, CacheMetrics, QuotaMetrics, RetryMetrics},
    quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern},
    retry::{Policy, RetryLayer},
};

use crate::support::target;

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
        let mut cx = Context::from_waker(Waker::noop());
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

#[test]
fn what_a_cache_does_is_recorded_without_allocating() {
    let recorder = CloudWatchRecorder::builder().build().unwrap();
    let _guard = set_default_local_recorder(&recorder);
    let (metrics, target) = (CacheMetrics::new(), target());
    let record = || {
        metrics.hit(&target, Duration::ZERO);
        metrics.shared(&target);
        metrics.missed(&target);
    };
    record();
    let allocated = allocation_counter::measure(|| (0..100).for_each(|_| record()));
    assert_eq!(allocated.count_total, 0);
}
