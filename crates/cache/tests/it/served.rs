//! What is served, and when.

use tokio::time::advance;
use tower::{Layer, ServiceExt};
use tower_bedrock_core::{Degraded, FaultKind, HasCompletion, HasFault, HasTarget};

use crate::support::{Response, Script, ask, builder, call, layer, secs};

#[tokio::test(start_paused = true)]
async fn a_stale_answer_stands_in_for_a_failed_call_and_says_so() {
    let script = Script::new(1, FaultKind::Unavailable);
    let mut service = layer(builder()).layer(script.service());
    ask(&mut service, call("hello")).await.unwrap();

    advance(secs(3_600)).await;
    let answer = ask(&mut service, call("hello")).await.unwrap();
    assert_eq!(answer.output(), "answer 0");
    assert_eq!(answer.usage(), None, "it has used no tokens");
    let degraded = answer.history().unwrap().degraded;
    // One second for the call that failed.
    assert_eq!(degraded, Some(Degraded::with_age(secs(3_601))));
    assert_eq!(script.calls(), 2);

    // Another call has no answer.
    let error = ask(&mut service, call("hi")).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_not_served_when_it_is_too_old_or_the_mistake_is_the_callers() {
    let script = Script::new(1, FaultKind::Unavailable);
    let mut service = layer(builder().stale_for(secs(60))).layer(script.service());
    ask(&mut service, call("hello")).await.unwrap();
    advance(secs(60)).await;
    ask(&mut service, call("hello")).await.unwrap_err();

    for kind in [
        FaultKind::Validation,
        FaultKind::AccessDenied,
        FaultKind::Unknown,
    ] {
        let script = Script::new(1, kind);
        let mut service = layer(builder()).layer(script.service());
        ask(&mut service, call("hello")).await.unwrap();
        let error = ask(&mut service, call("hello")).await.unwrap_err();
        assert_eq!(error.fault().kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_served_only_where_that_is_asked_for() {
    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let mut service = layer(builder()).layer(script.service());
    for number in 0..2 {
        let answer = ask(&mut service, call("hello")).await.unwrap();
        assert_eq!(*answer.output(), format!("answer {number}"));
    }

    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let mut service = layer(builder().fresh_for(secs(60))).layer(script.service());
    for (age, expected) in [(0, "answer 0"), (60, "answer 0"), (1, "answer 1")] {
        advance(secs(age)).await;
        let answer = ask(&mut service, call("hello")).await.unwrap();
        assert_eq!(answer.output(), expected);
        assert_eq!(answer.history().unwrap().degraded, None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_responder_gives_what_the_layer_has_kept() {
    let cache = layer(builder());
    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let service = cache.layer(script.service());
    let responder = cache.responder::<Response>();
    responder.clone().oneshot(call("hello")).await.unwrap_err();

    service.oneshot(call("hello")).await.unwrap();
    advance(secs(5)).await;
    let answer = responder.oneshot(call("hello")).await.unwrap();
    let degraded = answer.history().unwrap().degraded;
    assert_eq!(degraded, Some(Degraded::with_age(secs(5))));
    assert_eq!(answer.output(), "answer 0");
    assert_eq!(call("hello").target().region().as_str(), "us-east-1");
}
