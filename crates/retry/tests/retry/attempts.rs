//! What is sent, and when.

use tokio::time::Duration;
use tokio_test::assert_pending;
use tower_bedrock_core::{FaultKind, GaveUp, HasTarget};
use tower_bedrock_retry::{Plan, Policy};

use crate::common::{End, Script, every, failed_once, layer, millis, request, run, secs, target};

#[tokio::test(start_paused = true)]
async fn an_answer_at_once_is_one_attempt() {
    let script = Script::default();
    let end = run(&layer(Policy::default()), &script, request()).await;
    assert_eq!(end, End::Answered { attempts: 1 });
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_transient_503_is_retried_at_once_and_then_after_longer_and_longer() {
    let script = Script::of([FaultKind::Unavailable; 4]);
    let end = run(&layer(Policy::default()), &script, request()).await;
    assert_eq!(end, End::Answered { attempts: 5 });
    let waits = script.waits();
    assert_eq!(waits[0], Duration::ZERO);
    // tokio's timers are in whole milliseconds.
    for (wait, most) in waits[1..].iter().zip([secs(2), secs(4), secs(8)]) {
        assert!(
            *wait > Duration::ZERO && *wait <= most + millis(1),
            "{wait:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn five_attempts_are_made_in_all() {
    let script = Script::always(FaultKind::ThrottledTokens);
    let end = run(&layer(Policy::default()), &script, request()).await;
    let kind = FaultKind::ThrottledTokens;
    let gave_up = Some(GaveUp::MaxAttempts);
    assert_eq!(end, End::failed(5, kind, gave_up));
    assert_eq!(script.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_the_plan_leaves_out_is_not_retried() {
    for kind in FaultKind::ALL {
        let script = Script::of([kind]);
        let end = run(&layer(Policy::default()), &script, request()).await;
        if Plan::default().schedule(kind).is_some() {
            assert_eq!(end, End::Answered { attempts: 2 }, "{kind}");
        } else {
            // There was nothing to give up on.
            let gave_up = None;
            assert_eq!(end, End::failed(1, kind, gave_up), "{kind}");
            assert_eq!(script.calls(), 1, "{kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_is_that_of_the_last_attempt() {
    let script = Script::of([
        FaultKind::Unavailable,
        FaultKind::ThrottledTokens,
        FaultKind::Validation,
    ]);
    let end = run(&layer(Policy::default()), &script, request()).await;
    let kind = FaultKind::Validation;
    assert_eq!(end, End::failed(3, kind, None));
}

#[tokio::test(start_paused = true)]
async fn one_attempt_means_no_retry() {
    let policy = Policy::builder().max_attempts(1).build().unwrap();
    let script = Script::always(FaultKind::Unavailable);
    let end = run(&layer(policy), &script, request()).await;
    let (kind, gave_up) = (FaultKind::Unavailable, Some(GaveUp::MaxAttempts));
    assert_eq!(end, End::failed(1, kind, gave_up));
}

#[tokio::test(start_paused = true)]
async fn the_same_request_is_sent_again() {
    let (mut call, mut handle) = failed_once(&every(secs(1)), request()).await;
    handle.allow(1);
    tokio::time::advance(secs(1)).await;
    assert_pending!(call.poll());
    let (again, _reply) = handle.next_request().await.unwrap();
    assert_eq!((again.target(), *again.input()), (&target(), "hello"));
}
