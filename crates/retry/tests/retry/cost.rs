//! What a call that needs no retry costs.

use std::{
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use tower::{Layer, Service};
use tower_bedrock_core::{Answer, BoxError, FaultKind};
use tower_bedrock_retry::{Budget, Policy, RetryLayer};

use crate::common::{Request, Response, Script, request, run};

/// Answers at once, and allocates nothing itself.
#[derive(Clone, Debug)]
struct Leaf;

impl Service<Request> for Leaf {
    type Response = Response;
    type Error = BoxError;
    type Future = Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        ready(Ok(Answer::new("answer")))
    }
}

fn allocations(layer: &RetryLayer) -> u64 {
    let mut service = layer.layer(Leaf);
    let request = request();
    let mut cx = Context::from_waker(Waker::noop());
    let counted = measure(|| {
        for _ in 0..100 {
            assert!(service.poll_ready(&mut cx).is_ready());
            let call = pin!(service.call(request.clone()));
            assert!(call.poll(&mut cx).is_ready());
        }
    });
    counted.count_total
}

#[test]
fn a_call_that_succeeds_at_once_allocates_nothing() {
    assert_eq!(allocations(&RetryLayer::default()), 0);
    let single = Policy::builder().max_attempts(1).build().unwrap();
    assert_eq!(allocations(&RetryLayer::new(single)), 0);
}

/// Nor does one whose target has to earn its retries back.
#[tokio::test(start_paused = true)]
async fn nor_after_others_failed() {
    let budget = Budget::builder().burst(1_000).floor_per_second(0.0);
    let layer = RetryLayer::builder(Policy::default())
        .budget(budget.build().unwrap())
        .build();
    for _ in 0..100 {
        run(&layer, &Script::always(FaultKind::Internal), request()).await;
    }
    assert_eq!(allocations(&layer), 0);
}
