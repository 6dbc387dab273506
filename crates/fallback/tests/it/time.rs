//! Deadlines and the time of a hop.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Context, Fault, FaultKind, HasCompletion, HasFault, HasTarget,
};
use tower_bedrock_fallback::FallbackLayer;

use crate::support::{
    Call, OnDrop, PRIMARY, SECOND, Script, THIRD, call, chain, fail, hop, target,
};

#[tokio::test(start_paused = true)]
async fn a_slow_hop_is_cancelled_and_the_last_may_take_its_time() {
    let cancelled = Arc::new(Mutex::new(0));
    let inner = {
        let cancelled = Arc::clone(&cancelled);
        service_fn(move |call: Call| {
            let cancelled = Arc::clone(&cancelled);
            async move {
                let guard = OnDrop(Some(move || *cancelled.lock().unwrap() += 1));
                let deadline = call.context().deadline();
                if call.target() == &target(THIRD) {
                    assert_eq!(deadline, None, "the last hop has no limit");
                    sleep(Duration::from_secs(3_600)).await;
                    guard.defuse();
                    return Ok::<_, BoxError>(Answer::new("at last"));
                }
                assert_eq!(deadline, Some(Instant::now() + Duration::from_secs(10)));
                pending().await
            }
        })
    };
    let layer = FallbackLayer::new([chain().hop_timeout(Duration::from_secs(10))]).unwrap();
    let start = Instant::now();
    let answer = layer.layer(inner).oneshot(call()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3_620));
    assert_eq!(*cancelled.lock().unwrap(), 2);
    let expected = [
        hop(PRIMARY, FaultKind::Timeout, 1),
        hop(SECOND, FaultKind::Timeout, 1),
    ];
    assert_eq!(answer.history().unwrap().failed_hops, expected);
}

#[tokio::test(start_paused = true)]
async fn no_hop_starts_after_the_deadline() {
    let inner = service_fn(|_: Call| async {
        sleep(Duration::from_secs(40)).await;
        fail(FaultKind::Unavailable)
    });
    let service = FallbackLayer::new([chain()]).unwrap().layer(inner);
    let deadline = Instant::now() + Duration::from_secs(60);
    let call = call().with_context(Context::new().with_deadline(deadline));
    let error = service.clone().oneshot(call.clone()).await.unwrap_err();
    assert_eq!(
        error.history().unwrap().attempts,
        2,
        "at 0 s and at 40 s, not at 80 s"
    );

    let error = service.oneshot(call).await.unwrap_err();
    assert_eq!(
        error.fault().kind(),
        FaultKind::DeadlineExceeded,
        "it had passed before the first"
    );
    assert!(Fault::find(error.as_ref()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_too_long_to_be_a_time_is_none() {
    let script = Script::new(|_| Ok(Answer::new("hi")));
    let layer = FallbackLayer::new([chain().hop_timeout(Duration::MAX)]).unwrap();
    layer.layer(script.service()).oneshot(call()).await.unwrap();
}
