//! The last resort.

use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock_core::{Answer, BoxError, FaultKind, HasCompletion, HasFault, HasTarget};
use tower_bedrock_fallback::FallbackLayer;

use crate::support::{Call, PRIMARY, Script, call, chain, fail, target};

#[tokio::test]
async fn a_degraded_answer_is_given_when_all_else_failed_and_says_so() {
    let script = Script::new(|_| fail(FaultKind::Unavailable));
    let canned = service_fn(|call: Call| async move {
        assert_eq!(
            call.target(),
            &target(PRIMARY),
            "the request as the caller made it"
        );
        tokio::task::yield_now().await;
        Ok::<_, BoxError>(Answer::new("please try again later"))
    });
    let layer = FallbackLayer::new([chain()]).unwrap().or_degraded(canned);
    let answer = layer.layer(script.service()).oneshot(call()).await.unwrap();
    let history = answer.history().unwrap();
    assert!(history.degraded.is_some());
    assert_eq!(
        (
            history.failed_hops.len(),
            history.attempts,
            &history.served_by
        ),
        (3, 3, &None)
    );

    // A caller's mistake has no last resort.
    let script = Script::new(|_| fail(FaultKind::AccessDenied));
    layer
        .layer(script.service())
        .oneshot(call())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_degraded_responder_that_fails_leaves_the_last_hops_error() {
    let script = Script::new(|_| fail(FaultKind::Internal));
    let broken = service_fn(|_: Call| async { fail(FaultKind::Unknown) });
    let layer = FallbackLayer::new([chain()]).unwrap().or_degraded(broken);
    let error = layer
        .layer(script.service())
        .oneshot(call())
        .await
        .unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Internal);
    assert_eq!(error.history().unwrap().failed_hops.len(), 3);
}
