//! The verdict on a stream comes when it ends, and slowness is the time until it begins.

mod common;

use common::{NOVA, Rig, call, one_probe, target};
use tokio::time::{Duration, advance};
use tower_bedrock_breaker::{CircuitBreakerBuilder, CircuitBreakerLayer, PerTarget, State};
use tower_bedrock_core::{
    BoxError, Completion, Fault, FaultKind, HasCompletion, Observers, Outcome,
};
use tower_layer::Layer;
use tower_service::Service;

/// A response that is read bit by bit.
#[derive(Debug, Default)]
struct Stream(Observers);

impl HasCompletion for Stream {
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
        self.0.add(observer);
    }
}

type StreamRig = Rig<PerTarget, Stream>;

impl StreamRig {
    /// Half-open, with room for one probe.
    async fn half_open() -> Self {
        let mut rig = Self::with(one_probe().consecutive_failures(1));
        let mut stream = rig.open_stream().await;
        stream
            .0
            .finish(Outcome::Failed(Fault::new(FaultKind::ModelStreamError)));
        assert_eq!(rig.state(NOVA), State::Open);
        advance(Duration::from_secs(60)).await;
        rig
    }

    async fn open_stream(&mut self) -> Stream {
        let (pending, respond) = self.start(NOVA).await;
        respond.send_response(Stream::default());
        pending.await.expect("a stream")
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_succeeds_when_it_ends_and_not_before() {
    let mut rig = StreamRig::half_open().await;
    let mut stream = rig.open_stream().await;
    assert_eq!(rig.state(NOVA), State::HalfOpen);
    rig.refused(NOVA).await;
    stream.0.finish(Outcome::Complete);
    assert_eq!(rig.state(NOVA), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_late_is_a_failure() {
    let mut rig = StreamRig::half_open().await;
    let mut stream = rig.open_stream().await;
    stream
        .0
        .finish(Outcome::Failed(Fault::new(FaultKind::ModelStreamError)));
    assert_eq!(rig.state(NOVA), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_gives_its_place_back() {
    let mut rig = StreamRig::half_open().await;
    let stream = rig.open_stream().await;
    rig.refused(NOVA).await;
    drop(stream);
    assert_eq!(rig.state(NOVA), State::HalfOpen);
    rig.open_stream().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_a_callers_mistake_gives_its_place_back() {
    let mut rig = StreamRig::half_open().await;
    let mut stream = rig.open_stream().await;
    stream
        .0
        .finish(Outcome::Failed(Fault::new(FaultKind::Validation)));
    assert_eq!(rig.state(NOVA), State::HalfOpen);
    rig.open_stream().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_outlives_a_transition_does_not_count() {
    let builder = CircuitBreakerLayer::builder().consecutive_failures(1);
    let mut rig = StreamRig::with(builder);
    let mut stream = rig.open_stream().await;
    rig.handle.reset(&target(NOVA));
    stream
        .0
        .finish(Outcome::Failed(Fault::new(FaultKind::ModelStreamError)));
    assert_eq!(rig.state(NOVA), State::Closed);
}

/// A response that forgets those who wait for its end.
struct Forgetful;

impl HasCompletion for Forgetful {
    fn on_completion<F>(&mut self, _: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
    }
}

#[tokio::test(start_paused = true)]
async fn even_an_observer_that_is_never_told_gives_its_place_back() {
    let layer = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .permitted_number_of_calls_in_half_open_state(1)
        .build()
        .unwrap();
    let mut failing = layer.layer(tower::service_fn(|_: common::Call| async {
        Err::<Forgetful, BoxError>(Fault::new(FaultKind::Internal).into())
    }));
    failing.call(call(NOVA)).await.err().unwrap();
    advance(Duration::from_secs(60)).await;

    let mut service = layer.layer(tower::service_fn(|_: common::Call| async {
        Ok::<_, BoxError>(Forgetful)
    }));
    for _ in 0..10 {
        assert!(service.call(call(NOVA)).await.is_ok());
    }
    assert_eq!(layer.handle().state(&target(NOVA)), State::HalfOpen);
}

fn slow_over_five_seconds() -> CircuitBreakerBuilder {
    CircuitBreakerLayer::builder()
        .slow_call_rate_threshold(100.0)
        .slow_call_duration_threshold(Duration::from_secs(5))
        .minimum_number_of_calls(1)
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_that_begins_at_once_is_not_slow() {
    let mut rig = StreamRig::with(slow_over_five_seconds());
    let mut stream = rig.open_stream().await;
    advance(Duration::from_secs(600)).await;
    stream.0.finish(Outcome::Complete);
    let seen = rig.handle.snapshot(&target(NOVA)).unwrap();
    assert_eq!((seen.calls, seen.slow_calls), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_late_is_slow() {
    let mut rig = StreamRig::with(slow_over_five_seconds());
    let (pending, respond) = rig.start(NOVA).await;
    advance(Duration::from_millis(5_001)).await;
    respond.send_response(Stream::default());
    let mut stream = pending.await.unwrap();
    assert_eq!(rig.state(NOVA), State::Closed);
    stream.0.finish(Outcome::Complete);
    assert_eq!(rig.state(NOVA), State::Open);
}

/// What the stream says of its first token goes before what is seen from here, where waiting for a quota is
/// part of the time.
#[tokio::test(start_paused = true)]
async fn a_stream_knows_best_how_long_its_first_token_took() {
    let mut rig = StreamRig::with(slow_over_five_seconds());
    let (pending, respond) = rig.start(NOVA).await;
    advance(Duration::from_secs(60)).await;
    respond.send_response(Stream::default());
    let mut stream = pending.await.unwrap();
    stream.0.first_token(Duration::from_secs(1));
    stream.0.finish(Outcome::Complete);
    assert_eq!(rig.state(NOVA), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_is_slow_by_the_whole_of_it_and_so_is_one_that_fails() {
    for (answer, failures) in [(Ok(()), 0), (Err(FaultKind::Internal), 1)] {
        let builder = slow_over_five_seconds().without_failure_rate();
        let mut rig = Rig::<_>::with(builder);
        let (pending, respond) = rig.start(NOVA).await;
        advance(Duration::from_secs(5)).await;
        let _ = common::finish(pending, respond, answer).await;
        let seen = rig.handle.snapshot(&target(NOVA)).unwrap();
        assert_eq!(
            (seen.slow_calls, seen.failures),
            (0, failures),
            "just in time"
        );

        let (pending, respond) = rig.start(NOVA).await;
        advance(Duration::from_millis(5_001)).await;
        let _ = common::finish(pending, respond, answer).await;
        let seen = rig.handle.snapshot(&target(NOVA)).unwrap();
        assert_eq!(seen.slow_calls, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_fails() {
    let builder = slow_over_five_seconds().permitted_number_of_calls_in_half_open_state(1);
    let mut rig = Rig::<_>::with(builder);
    rig.trip_and_wait(NOVA).await;
    let (pending, respond) = rig.start(NOVA).await;
    advance(Duration::from_secs(6)).await;
    common::finish(pending, respond, Ok(())).await.unwrap();
    assert_eq!(rig.state(NOVA), State::Open);
}
