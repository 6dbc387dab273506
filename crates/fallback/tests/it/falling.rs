//! What falls to which hop, and what is told of it.

use std::sync::{Arc, Mutex};

use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Demand, Fault, FaultKind, HasCompletion, HasFault, HasTarget, Invocation,
    Target,
};
use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer};

use crate::support::{Call, PRIMARY, SECOND, Script, THIRD, call, chain, fail, hop, target};

#[tokio::test]
async fn the_first_hop_that_serves_is_named_and_so_are_those_that_did_not() {
    let script = Script::new(|target| match target.model().as_str() {
        PRIMARY => fail(FaultKind::ThrottledTokensPerDay),
        SECOND => fail(FaultKind::Unavailable),
        _ => Ok(Answer::new("hi")),
    });
    let service = FallbackLayer::new([chain()])
        .unwrap()
        .layer(script.service());

    let answer = service.oneshot(call()).await.unwrap();

    let history = answer.history().unwrap();
    assert_eq!(history.served_by, Some(target(THIRD)));
    assert_eq!(history.attempts, 3);
    assert_eq!(history.degraded, None);
    let expected = [
        hop(PRIMARY, FaultKind::ThrottledTokensPerDay, 1),
        hop(SECOND, FaultKind::Unavailable, 1),
    ];
    assert_eq!(history.failed_hops, expected);
}

#[tokio::test]
async fn an_error_keeps_every_hops_fault() {
    let script = Script::new(|target| match target.model().as_str() {
        PRIMARY => fail(FaultKind::ModelTimeout),
        SECOND => fail(FaultKind::ModelError),
        _ => fail(FaultKind::Internal),
    });
    let service = FallbackLayer::new([chain()])
        .unwrap()
        .layer(script.service());

    let error = service.oneshot(call()).await.unwrap_err();

    assert_eq!(error.fault().kind(), FaultKind::Internal);
    let history = error.history().unwrap();
    assert_eq!(history.attempts, 3);
    let expected = [
        hop(PRIMARY, FaultKind::ModelTimeout, 1),
        hop(SECOND, FaultKind::ModelError, 1),
        hop(THIRD, FaultKind::Internal, 1),
    ];
    assert_eq!(history.failed_hops, expected);
}

#[tokio::test]
async fn attempts_that_inner_policies_counted_are_added_up() {
    let script = Script::new(|target| match target.model().as_str() {
        PRIMARY => fail(FaultKind::Unavailable).map_err(|e| e.update_history(|h| h.attempts = 5)),
        _ => {
            let mut answer = Answer::new("hi");
            answer.history_mut().unwrap().attempts = 2;
            Ok(answer)
        }
    });
    let service = FallbackLayer::new([chain()])
        .unwrap()
        .layer(script.service());
    let answer = service.oneshot(call()).await.unwrap();
    let history = answer.history().unwrap();
    assert_eq!((history.attempts, history.failed_hops[0].attempts), (7, 5));
}

#[tokio::test]
async fn which_faults_fall_by_default() {
    use FaultKind::*;
    // LiteLLM falls back on 400s: the next model would only refuse the same request at a price.
    let stay = [
        Validation,
        AccessDenied,
        ResourceNotFound,
        ServiceQuotaExceeded,
        Unknown,
    ];
    for kind in FaultKind::ALL {
        let falls = tower_bedrock_fallback::falls_through(&kind.into());
        assert_eq!(falls, !stay.contains(&kind), "{kind}");
    }
    let script = Script::new(|_| fail(Validation));
    let service = FallbackLayer::new([chain()])
        .unwrap()
        .layer(script.service());
    assert_eq!(
        service.oneshot(call()).await.unwrap_err().fault().kind(),
        Validation
    );
    assert_eq!(script.models(), [PRIMARY]);
}

/// Of another family a model takes less, or another form, or is closed to the account.
#[tokio::test]
async fn what_an_alternative_does_not_take_is_no_mistake_of_the_callers() {
    let mistakes = FaultKind::ALL.into_iter();
    for mistake in mistakes.filter(|kind| kind.is_callers_mistake()) {
        let declines = move |target: &Target| match target.model().as_str() {
            PRIMARY => fail(FaultKind::Unavailable),
            SECOND => fail(mistake),
            _ => Ok(Answer::new("hi")),
        };
        let layer = FallbackLayer::new([chain()]).unwrap();
        let answer = layer.layer(service_fn(move |call: Call| {
            std::future::ready(declines(call.target()))
        }));
        let answer = answer.oneshot(call()).await.unwrap();
        let history = answer.history().unwrap();
        assert_eq!(history.served_by, Some(target(THIRD)));
        assert_eq!(
            history.failed_hops,
            [
                hop(PRIMARY, FaultKind::Unavailable, 1),
                hop(SECOND, mistake, 1)
            ]
        );
        assert_eq!(history.attempts, 3);
    }
    // The call ends with what went wrong, and that is no mistake.
    let script = Script::new(|target| match target.model().as_str() {
        PRIMARY => fail(FaultKind::Unavailable),
        _ => fail(FaultKind::Validation),
    });
    let layer = FallbackLayer::new([chain()]).unwrap();
    let error = layer.layer(script.service()).oneshot(call()).await;
    let error = error.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Unavailable);
    let history = error.history().unwrap();
    assert_eq!((history.attempts, history.failed_hops.len()), (3, 3));
}

#[tokio::test]
async fn a_predicate_of_ones_own_decides() {
    let script = Script::new(|_| fail(FaultKind::Unavailable));
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .fall_through_if(|fault| fault.kind() == FaultKind::CircuitOpen);
    layer
        .layer(script.service())
        .oneshot(call())
        .await
        .unwrap_err();
    assert_eq!(script.models(), [PRIMARY]);
}

#[tokio::test]
async fn a_model_without_a_chain_passes_through_untouched() {
    let script = Script::new(|_| fail(FaultKind::Unavailable));
    let service = FallbackLayer::new([chain()])
        .unwrap()
        .layer(script.service());
    let error = service
        .oneshot(Invocation::new(target(THIRD), "hello"))
        .await
        .unwrap_err();
    assert!(error.is::<Fault>(), "the inner error as it was: {error:?}");

    let any = Chain::for_any_model().or(Alternative::region("us-west-2".parse().unwrap()));
    let service = FallbackLayer::new([chain(), any])
        .unwrap()
        .layer(script.service());
    service
        .oneshot(Invocation::new(target(THIRD), "hello"))
        .await
        .unwrap_err();
    assert_eq!(
        script.seen.lock().unwrap().last().unwrap(),
        &Target::parse("us-west-2", THIRD).unwrap()
    );
}

#[tokio::test]
async fn the_request_is_not_cloned_where_nothing_can_follow() {
    struct Unclonable(Target);
    impl Clone for Unclonable {
        fn clone(&self) -> Self {
            panic!("cloned")
        }
    }
    impl HasTarget for Unclonable {
        fn target(&self) -> &Target {
            &self.0
        }
        fn set_target(&mut self, target: Target) {
            self.0 = target;
        }
    }
    impl tower_bedrock_core::HasDemand for Unclonable {
        fn demand(&self) -> Demand {
            Demand::default()
        }
    }
    let inner = service_fn(|_: Unclonable| async { Ok::<_, BoxError>(Answer::new(())) });
    let service = FallbackLayer::new([chain()]).unwrap().layer(inner);
    service.oneshot(Unclonable(target(THIRD))).await.unwrap();
}

#[tokio::test]
async fn a_rewrite_fits_the_request_to_the_alternative_or_leaves_it_out() {
    let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |call: Call| {
            seen.lock().unwrap().push(call.input());
            std::future::ready(if *call.input() == "hello" {
                fail(FaultKind::Overloaded)
            } else {
                Ok(Answer::new("hi"))
            })
        })
    };
    let rewrite = |call: &mut Call, target: &Target| {
        if target.model().as_str() == SECOND {
            return Err(Fault::new(FaultKind::Validation));
        }
        *call.input_mut() = "hello, nova";
        Ok(())
    };
    let service = FallbackLayer::new([chain()])
        .unwrap()
        .rewrite_with(rewrite)
        .layer(inner);
    let answer = service.oneshot(call()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["hello", "hello, nova"]);
    assert_eq!(
        answer.history().unwrap().failed_hops[1],
        hop(SECOND, FaultKind::Validation, 0)
    );
}
