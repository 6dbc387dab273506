//! Deadlines, the total time, and `Retry-After`.

use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tokio_test::{assert_pending, assert_ready_err, task};
use tower_bedrock_core::{Context, Fault, FaultKind, GaveUp, HasFault};
use tower_bedrock_retry::{Budget, Policy, RetryLayer};

use crate::common::{
    End, Event, Record, Script, after, every, failed_once, layer, millis, request, request_within,
    run, secs, target,
};

#[tokio::test(start_paused = true)]
async fn no_retry_starts_at_the_deadline_or_later() {
    let script = Script::always(FaultKind::Internal);
    let begun = Instant::now();
    let end = run(&every(secs(10)), &script, request_within(secs(30))).await;
    let (kind, gave_up) = (FaultKind::Internal, Some(GaveUp::Deadline));
    assert_eq!(end, End::failed(3, kind, gave_up));
    // At 0, 10 and 20 s; and it does not sleep on what it knows to be in vain.
    assert_eq!(begun.elapsed(), secs(20));
}

#[tokio::test(start_paused = true)]
async fn no_retry_starts_with_less_time_than_an_attempt_needs() {
    let policy = Policy::builder()
        .plan(after(secs(10)))
        .min_attempt_time(secs(15));
    let script = Script::always(FaultKind::Internal);
    let end = run(
        &layer(policy.build().unwrap()),
        &script,
        request_within(secs(30)),
    )
    .await;
    let (kind, gave_up) = (FaultKind::Internal, Some(GaveUp::Deadline));
    assert_eq!(end, End::failed(2, kind, gave_up));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_long_past_still_allows_the_first_attempt() {
    let request = request().with_context(Context::new().with_deadline(Instant::now()));
    let script = Script::always(FaultKind::Unavailable);
    let end = run(&layer(Policy::default()), &script, request).await;
    let (kind, gave_up) = (FaultKind::Unavailable, Some(GaveUp::Deadline));
    assert_eq!(end, End::failed(1, kind, gave_up));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_ends_with_the_deadline() {
    let record = Arc::new(Record::default());
    let layer = RetryLayer::builder(Policy::builder().plan(after(secs(1))).build().unwrap())
        .budget(Budget::builder().floor_per_second(0.0).build().unwrap())
        .observer(Arc::clone(&record))
        .build();
    let (mut call, _handle) = failed_once(&layer, request_within(secs(30))).await;
    tokio::time::advance(secs(29)).await;
    assert_pending!(call.poll());
    assert_eq!(layer.budget_left(&target()), Some(49));

    tokio::time::advance(secs(1)).await;
    assert!(call.is_woken());
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.fault().kind(), FaultKind::Internal);
    assert_eq!(error.history().unwrap().attempts, 1);
    assert_eq!(error.history().unwrap().gave_up, Some(GaveUp::Deadline));
    assert_eq!(
        record.events().last(),
        Some(&Event::GaveUp(1, GaveUp::Deadline))
    );
    // The retry was not made: its token is back.
    assert_eq!(layer.budget_left(&target()), Some(50));
}

/// The service becomes ready in the same instant as it becomes too late.
#[tokio::test(start_paused = true)]
async fn readiness_that_comes_too_late_starts_no_attempt() {
    let (mut call, mut handle) = failed_once(&every(secs(1)), request_within(secs(30))).await;
    tokio::time::advance(secs(30)).await;
    handle.allow(1);
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.history().unwrap().gave_up, Some(GaveUp::Deadline));
    assert!(task::spawn(handle.next_request()).poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn no_retry_starts_after_max_elapsed() {
    let policy = Policy::builder()
        .plan(after(secs(10)))
        .max_elapsed(secs(25));
    let script = Script::always(FaultKind::Internal);
    let end = run(&layer(policy.build().unwrap()), &script, request()).await;
    let (kind, gave_up) = (FaultKind::Internal, Some(GaveUp::MaxElapsed));
    assert_eq!(end, End::failed(3, kind, gave_up));
}

// === Retry-After ===

fn told(after: Duration) -> Fault {
    Fault::new(FaultKind::Overloaded).with_retry_after(after)
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_a_floor() {
    let script = Script::of([told(secs(5))]);
    run(&layer(Policy::default()), &script, request()).await;
    let wait = script.waits()[0];
    assert!(wait >= secs(5) && wait <= millis(6_001), "{wait:?}");

    // And no more than that: a backoff that is longer already stays as it is.
    let script = Script::of([told(secs(5))]);
    run(&every(secs(20)), &script, request()).await;
    assert_eq!(script.waits(), [secs(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_for_the_immediate_retry_too() {
    let fault = Fault::new(FaultKind::Unavailable).with_retry_after(secs(5));
    let script = Script::of([fault]);
    run(&layer(Policy::default()), &script, request()).await;
    assert!(script.waits()[0] >= secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_capped() {
    let policy = Policy::builder()
        .plan(after(secs(1)))
        .max_retry_after(secs(30));
    let script = Script::of([told(Duration::MAX)]);
    run(&layer(policy.build().unwrap()), &script, request()).await;
    assert_eq!(script.waits(), [secs(30)]);
}

#[tokio::test(start_paused = true)]
async fn callers_told_the_same_time_do_not_come_back_together() {
    let layer = layer(Policy::default());
    let mut waits = Vec::new();
    for _ in 0..50 {
        let script = Script::of([told(secs(5))]);
        run(&layer, &script, request()).await;
        waits.extend(script.waits());
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 40, "{waits:?}");
}

/// Whichever bound comes first: who was told to come back after the deadline has nothing to wait for.
#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_gives_up_under_a_shorter_bound_too() {
    let policy = Policy::builder()
        .max_elapsed(secs(50))
        .max_retry_after(secs(10));
    let fault = Fault::new(FaultKind::ThrottledTokens).with_retry_after(secs(200));
    let script = Script::always(fault);
    let end = run(
        &layer(policy.build().unwrap()),
        &script,
        request_within(secs(100)),
    )
    .await;
    let (kind, gave_up) = (FaultKind::ThrottledTokens, Some(GaveUp::RetryAfter));
    assert_eq!(end, End::failed(1, kind, gave_up));
}
