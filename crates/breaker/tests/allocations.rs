//! A success allocates nothing.

mod common;

use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::{AllocationInfo, measure};
use common::{CLAUDE, Call, NOVA, Reply, call};
use tokio::time::Duration;
use tower_bedrock_breaker::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerLayer, SlidingWindow,
};
use tower_bedrock_core::{Answer, BoxError};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone)]
struct Healthy;

impl Service<Call> for Healthy {
    type Response = Reply;
    type Error = BoxError;
    type Future = Ready<Result<Reply, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        ready(Ok(Answer::new("Hello.")))
    }
}

fn succeed(service: &mut CircuitBreaker<Healthy>, call: Call) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let future = pin!(service.call(call));
    assert!(matches!(future.poll(&mut cx), Poll::Ready(Ok(_))));
}

fn allocations(builder: CircuitBreakerBuilder) -> AllocationInfo {
    let mut service = builder.build().expect("settings in range").layer(Healthy);
    let (first, second) = (call(NOVA), call(CLAUDE));
    // The first call of a key makes its breaker.
    succeed(&mut service, first.clone());
    succeed(&mut service, second.clone());
    measure(|| {
        for _ in 0..1_000 {
            succeed(&mut service, first.clone());
            succeed(&mut service, first.clone());
            succeed(&mut service.clone(), second.clone());
        }
    })
}

#[test]
fn a_success_in_a_closed_breaker_allocates_nothing() {
    let by_count = CircuitBreakerLayer::builder();
    let by_time = CircuitBreakerLayer::builder()
        .sliding_window(SlidingWindow::TimeBased(Duration::from_millis(20)));
    let watching_the_time = CircuitBreakerLayer::builder().slow_call_rate_threshold(100.0);
    for builder in [by_count, by_time, watching_the_time] {
        assert_eq!(allocations(builder).count_total, 0);
    }
}
