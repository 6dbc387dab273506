//! What operators and other policies see and command.

mod common;

use common::{CLAUDE, NOVA, Rig, finish, one_probe, target};
use tokio::{
    sync::broadcast::{self, error::TryRecvError},
    time::{Duration, advance},
};
use tower_bedrock_breaker::{
    Cause, CircuitBreakerHandle, CircuitBreakerLayer, Event, EventKind, State,
};
use tower_bedrock_core::{Context, Demand, FaultKind, HasFault, Headroom, Target};

const DOWN: Result<(), FaultKind> = Err(FaultKind::Unavailable);

fn headroom(handle: &CircuitBreakerHandle, model: &str) -> Duration {
    handle.time_to_serve(&target(model), &Demand::new(1), &Context::new())
}

#[tokio::test(start_paused = true)]
async fn forced_open_stays_open_until_closed() {
    let mut rig = Rig::new();
    rig.send(NOVA, Ok(())).await.unwrap();
    rig.handle.force_open(&target(NOVA));
    advance(Duration::from_secs(24 * 60 * 60)).await;
    let open = rig.refused(NOVA).await;
    assert_eq!(open.state(), State::ForcedOpen);
    assert_eq!(open.retry_after(), None);
    assert_eq!(open.target(), &target(NOVA));
    assert_eq!(
        open.to_string(),
        "circuit breaker of us-east-1/amazon.nova-lite-v1:0 is forced_open"
    );
    rig.handle.close(&target(NOVA));
    rig.send(NOVA, Ok(())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_seen_through_a_box_as_an_open_circuit_with_its_time() {
    let mut rig = Rig::new();
    rig.trip(NOVA).await;
    let open: tower_bedrock_core::BoxError = rig.refused(NOVA).await.into();
    assert_eq!(open.fault().kind(), FaultKind::CircuitOpen);
    assert_eq!(open.fault().retry_after(), Some(Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn disabled_and_metrics_only_let_an_outage_through() {
    let mut rig = Rig::new();
    rig.handle.disable(&target(NOVA));
    rig.repeat(50, NOVA, DOWN).await;
    assert_eq!(rig.handle.snapshot(&target(NOVA)).unwrap().calls, 0);

    rig.handle.metrics_only(&target(NOVA));
    rig.repeat(50, NOVA, DOWN).await;
    let seen = rig.handle.snapshot(&target(NOVA)).unwrap();
    assert_eq!((seen.state, seen.calls), (State::MetricsOnly, 50));
    assert_eq!(seen.failure_rate(), Some(100.0));
}

#[tokio::test(start_paused = true)]
async fn a_command_for_all_holds_for_keys_not_met_yet() {
    let mut rig = Rig::new();
    rig.send(NOVA, Ok(())).await.unwrap();
    rig.handle.force_open_all();
    assert_eq!(rig.state(CLAUDE), State::ForcedOpen);
    rig.refused(NOVA).await;
    rig.refused(CLAUDE).await;

    rig.handle.metrics_only_all();
    rig.repeat(10, CLAUDE, DOWN).await;
    assert_eq!(rig.state(CLAUDE), State::MetricsOnly);
    rig.handle.disable_all();
    rig.repeat(10, CLAUDE, DOWN).await;
    rig.handle.close_all();
    assert_eq!(rig.state(NOVA), State::Closed);
    rig.trip(CLAUDE).await;
    rig.refused(CLAUDE).await;
    rig.handle.reset_all();
    rig.send(CLAUDE, Ok(())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_the_window_and_the_probes() {
    let builder = CircuitBreakerLayer::builder().permitted_number_of_calls_in_half_open_state(4);
    let mut rig = Rig::with(builder);
    assert_eq!(rig.handle.snapshot(&target(NOVA)), None);
    rig.repeat(3, NOVA, Ok(())).await;
    rig.repeat(1, NOVA, DOWN).await;
    let seen = rig.handle.snapshot(&target(NOVA)).unwrap();
    assert_eq!((seen.calls, seen.failures), (4, 1));
    assert_eq!(seen.failure_rate(), Some(25.0));
    assert_eq!(seen.consecutive_failures, 1);
    assert_eq!(seen.retry_after, Some(Duration::ZERO));

    rig.trip_and_wait(NOVA).await;
    let (_in_flight, _respond) = rig.start(NOVA).await;
    rig.send(NOVA, Ok(())).await.unwrap();
    rig.repeat(1, NOVA, DOWN).await;
    let [(key, seen)] = &rig.handle.snapshots()[..] else {
        panic!("one key");
    };
    assert_eq!(*key, target(NOVA));
    assert_eq!((seen.trips, seen.not_permitted), (1, 1));
    let probes = seen.probes.unwrap();
    assert_eq!((probes.free, probes.in_flight), (1, 1));
    assert_eq!((probes.successes, probes.failures), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn every_transition_is_told_in_order_and_with_its_cause() {
    let (events, mut reader) = broadcast::channel(16);
    let builder = one_probe().observer(events);
    let mut rig = Rig::with(builder);
    rig.trip_and_wait(NOVA).await;
    rig.repeat(1, NOVA, DOWN).await;
    advance(Duration::from_secs(60)).await;
    rig.repeat(1, NOVA, Ok(())).await;
    rig.handle.force_open(&target(NOVA));
    rig.handle.force_open(&target(NOVA));
    rig.handle.metrics_only(&target(NOVA));
    rig.repeat(6, NOVA, DOWN).await;

    let mut heard = Vec::new();
    while let Ok(event) = reader.try_recv() {
        let Event {
            generation, kind, ..
        } = event;
        heard.push(match kind {
            EventKind::Transition {
                from, to, cause, ..
            } => (generation, Some((from, to)), cause),
            EventKind::WouldOpen { cause } => (generation, None, cause),
            other => panic!("{other:?}"),
        });
    }
    use State::{Closed, ForcedOpen, HalfOpen, MetricsOnly, Open};
    assert_eq!(
        heard,
        [
            (2, Some((Closed, Open)), Cause::ConsecutiveFailures),
            (3, Some((Open, HalfOpen)), Cause::OpenIntervalOver),
            (4, Some((HalfOpen, Open)), Cause::ProbesFailed),
            (5, Some((Open, HalfOpen)), Cause::OpenIntervalOver),
            (6, Some((HalfOpen, Closed)), Cause::ProbesSucceeded),
            (7, Some((Closed, ForcedOpen)), Cause::Operator),
            (8, Some((ForcedOpen, MetricsOnly)), Cause::Operator),
            (8, None, Cause::ConsecutiveFailures),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_is_told_so_and_holds_nobody_up() {
    let (events, mut reader) = broadcast::channel::<Event<Target>>(2);
    let rig: Rig = Rig::with(CircuitBreakerLayer::builder().observer(events));
    for _ in 0..50 {
        rig.handle.force_open(&target(NOVA));
        rig.handle.close(&target(NOVA));
    }
    assert!(matches!(reader.try_recv(), Err(TryRecvError::Lagged(98))));
    assert!(reader.try_recv().is_ok());
}

#[tokio::test(start_paused = true)]
async fn headroom_is_the_time_until_a_call_could_pass() {
    let mut rig = Rig::with(one_probe());
    assert_eq!(headroom(&rig.handle, NOVA), Duration::ZERO);
    assert!(rig.handle.snapshots().is_empty(), "asking makes no breaker");

    rig.trip(NOVA).await;
    assert_eq!(headroom(&rig.handle, NOVA), Duration::from_secs(60));
    advance(Duration::from_secs(20)).await;
    assert_eq!(headroom(&rig.handle, NOVA), Duration::from_secs(40));
    advance(Duration::from_secs(40)).await;
    assert_eq!(
        headroom(&rig.handle, NOVA),
        Duration::ZERO,
        "a probe could pass"
    );
    assert_eq!(
        rig.state(NOVA),
        State::Open,
        "and asking takes no probe's place"
    );

    // Every place taken: as long as it would be open again, bounded by the time left to the probes.
    let (pending, respond) = rig.start(NOVA).await;
    assert_eq!(headroom(&rig.handle, NOVA), Duration::from_secs(60));
    advance(Duration::from_secs(290)).await;
    assert_eq!(headroom(&rig.handle, NOVA), Duration::from_secs(10));
    finish(pending, respond, Ok(())).await.unwrap();
    assert_eq!(headroom(&rig.handle, NOVA), Duration::ZERO);

    rig.handle.force_open(&target(NOVA));
    assert_eq!(headroom(&rig.handle, NOVA), Duration::MAX);
    rig.handle.disable_all();
    assert_eq!(headroom(&rig.handle, NOVA), Duration::ZERO);
    rig.handle.force_open_all();
    assert_eq!(headroom(&rig.handle, CLAUDE), Duration::MAX);
}
