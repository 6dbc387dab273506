//! A call that is dropped, wherever it stands, leaves the breaker as if it hadn't been made.

mod common;

use std::task::{Context, Poll};

use common::{Call, NOVA, Reply, Rig, call, finish, one_probe, target};
use tower_bedrock_breaker::{CircuitBreakerLayer, State};
use tower_bedrock_core::{BoxError, Fault, FaultKind};
use tower_layer::Layer;
use tower_service::Service;

/// Half-open, with room for one probe: a place that is lost shows at once.
async fn half_open() -> Rig {
    let mut rig = Rig::with(one_probe());
    rig.trip_and_wait(NOVA).await;
    rig
}

async fn the_place_is_free(mut rig: Rig) {
    rig.send(NOVA, Ok(())).await.expect("the next probe passes");
    assert_eq!(rig.state(NOVA), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn before_it_is_polled() {
    let mut rig = half_open().await;
    let future = rig.service.call(call(NOVA));
    rig.refused(NOVA).await;
    drop(future);
    the_place_is_free(rig).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_inner_service_is_not_ready() {
    let mut rig = half_open().await;
    rig.inner.allow(0);
    let mut pending = tokio_test::task::spawn(rig.service.call(call(NOVA)));
    tokio_test::assert_pending!(pending.poll());
    assert!(rig.inner_is_untouched(), "not called before it is ready");
    rig.refused(NOVA).await;

    drop(pending);
    rig.inner.allow(1);
    the_place_is_free(rig).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_inner_service_works_on_it() {
    let mut rig = half_open().await;
    let (pending, _respond) = rig.start(NOVA).await;
    rig.refused(NOVA).await;
    drop(pending);
    the_place_is_free(rig).await;
}

#[tokio::test(start_paused = true)]
async fn after_it_was_answered_and_before_the_answer_was_taken() {
    let mut rig = half_open().await;
    let (pending, respond) = rig.start(NOVA).await;
    respond.send_error(Fault::new(FaultKind::Unavailable));
    drop(pending);
    assert_eq!(rig.state(NOVA), State::HalfOpen);
    the_place_is_free(rig).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_breaker_does_not_count_it() {
    let mut rig = Rig::new();
    let (pending, _respond) = rig.start(NOVA).await;
    drop(pending);
    assert_eq!(rig.handle.snapshot(&target(NOVA)).unwrap().calls, 0);
}

/// A stale probe gives nothing back: its place went with its generation.
#[tokio::test(start_paused = true)]
async fn a_probe_of_an_earlier_generation_gives_no_place_to_a_later_one() {
    let mut rig = half_open().await;
    let (stale, _respond) = rig.start(NOVA).await;
    rig.handle.close(&target(NOVA));
    rig.trip_and_wait(NOVA).await;
    let (probe, respond) = rig.start(NOVA).await;
    drop(stale);
    rig.refused(NOVA).await;
    finish(probe, respond, Ok(())).await.unwrap();
    assert_eq!(rig.state(NOVA), State::Closed);
}

/// An inner service that fails in one of three places.
#[derive(Clone, Copy)]
enum Broken {
    NeverReady,
    PanicsInCall,
    PanicsInFuture,
}

impl Service<Call> for Broken {
    type Response = Reply;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Reply, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(match self {
            Self::NeverReady => Err(Fault::new(FaultKind::Transport).into()),
            _ => Ok(()),
        })
    }

    fn call(&mut self, _: Call) -> Self::Future {
        assert!(!matches!(self, Self::PanicsInCall), "on purpose");
        Box::pin(async { panic!("on purpose") })
    }
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_cannot_become_ready_has_failed() {
    let layer = CircuitBreakerLayer::builder().build().unwrap();
    let mut service = layer.layer(Broken::NeverReady);
    for _ in 0..5 {
        service.call(call(NOVA)).await.unwrap_err();
    }
    assert_eq!(layer.handle().state(&target(NOVA)), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_service_leaks_no_place() {
    for broken in [Broken::PanicsInCall, Broken::PanicsInFuture] {
        let layer = one_probe().build().unwrap();
        let mut failing = layer.layer(Broken::NeverReady);
        for _ in 0..5 {
            failing.call(call(NOVA)).await.unwrap_err();
        }
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        let mut service = layer.layer(broken);
        for _ in 0..3 {
            let panicked = tokio::spawn(service.call(call(NOVA))).await.unwrap_err();
            assert!(panicked.is_panic(), "every one of them passed as a probe");
        }
    }
}
