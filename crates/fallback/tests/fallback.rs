//! The layer as a whole, around scripted services, in paused time.

#![allow(clippy::unwrap_used)]

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Context, Demand, Fault, FaultKind, HasCompletion, HasFault, HasTarget,
    Headroom, Hop, Invocation, Target,
};
use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer, Unserved};

type Call = Invocation<&'static str>;
type Reply = Result<Answer<&'static str>, BoxError>;

const PRIMARY: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const SECOND: &str = "us.amazon.nova-pro-v1:0";
const THIRD: &str = "us.amazon.nova-lite-v1:0";

fn target(model: &str) -> Target {
    Target::parse("us-east-1", model).unwrap()
}

fn call() -> Call {
    Invocation::new(target(PRIMARY), "hello").with_demand(Demand::new(10))
}

fn chain() -> Chain {
    Chain::new(PRIMARY.parse().unwrap())
        .or(Alternative::model(SECOND.parse().unwrap()))
        .or(Alternative::model(THIRD.parse().unwrap()))
}

/// Answers by the model that is called, and keeps the targets it was called with.
#[derive(Clone)]
struct Script {
    seen: Arc<Mutex<Vec<Target>>>,
    reply: fn(&Target) -> Reply,
}

impl Script {
    fn new(reply: fn(&Target) -> Reply) -> Self {
        Self {
            seen: Arc::default(),
            reply,
        }
    }

    fn service(
        &self,
    ) -> impl Service<Call, Response = Answer<&'static str>, Error = BoxError, Future: Send> + Clone
    {
        let Self { seen, reply } = self.clone();
        service_fn(move |call: Call| {
            seen.lock().unwrap().push(call.target().clone());
            std::future::ready(reply(call.target()))
        })
    }

    fn models(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|target| target.model().to_string())
            .collect()
    }
}

fn fail(kind: FaultKind) -> Reply {
    Err(Fault::new(kind).into())
}

fn hop(model: &str, kind: FaultKind, attempts: u32) -> Hop {
    Hop::new(target(model), kind.into(), attempts)
}

// === falling ===

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

// === rewriting ===

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

// === falling before failing ===

#[derive(Clone)]
struct Forecast(fn(&Target) -> Duration);

impl Headroom for Forecast {
    fn time_to_serve(&self, target: &Target, demand: &Demand, _: &Context) -> Duration {
        assert_eq!(demand.input_tokens(), 10);
        (self.0)(target)
    }
}

const BUDGET: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_hop_without_headroom_is_left_out_and_never_called() {
    let script = Script::new(|_| Ok(Answer::new("hi")));
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::from_secs(3),
        _ => BUDGET,
    });
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    let answer = layer.layer(script.service()).oneshot(call()).await.unwrap();
    assert_eq!(script.models(), [SECOND]);
    let left_out = &answer.history().unwrap().failed_hops[0];
    assert_eq!(
        (left_out.fault.kind(), left_out.attempts),
        (FaultKind::NoHeadroom, 0)
    );
    assert_eq!(left_out.fault.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn when_all_would_wait_the_shortest_wait_is_taken() {
    let script = Script::new(|_| Ok(Answer::new("hi")));
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::MAX,
        SECOND => Duration::from_secs(9),
        _ => Duration::from_secs(5),
    });
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    layer.layer(script.service()).oneshot(call()).await.unwrap();
    assert_eq!(script.models(), [THIRD]);
}

#[tokio::test(start_paused = true)]
async fn when_no_wait_ends_before_the_deadline_the_caller_is_told_when_to_come_back() {
    let script = Script::new(|_| Ok(Answer::new("hi")));
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::MAX,
        SECOND => Duration::from_secs(70),
        _ => Duration::from_secs(90),
    });
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    let deadline = Instant::now() + Duration::from_secs(60);
    let call = call().with_context(Context::new().with_deadline(deadline));
    let error = layer
        .layer(script.service())
        .oneshot(call)
        .await
        .unwrap_err();
    assert!(script.models().is_empty());
    let expected = Fault::new(FaultKind::NoHeadroom).with_retry_after(Duration::from_secs(70));
    assert_eq!(error.fault(), expected);
    assert_eq!(error.history().unwrap().failed_hops.len(), 3);
}

// === time ===

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

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    fn defuse(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
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

// === the last resort ===

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

// === Tower's contract ===

#[tokio::test]
async fn every_hop_waits_for_readiness() {
    let (mock, mut handle) = tower_test::mock::pair::<Call, Answer<&'static str>>();
    let mut service = FallbackLayer::new([chain()]).unwrap().layer(mock);
    handle.allow(1);
    let mut response = task::spawn(service.ready().await.unwrap().call(call()));
    assert_pending!(response.poll());
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request.target(), &target(PRIMARY));
    handle.allow(0);
    respond.send_error(Fault::new(FaultKind::Unavailable));
    assert_pending!(response.poll());
    assert_pending!(
        task::spawn(handle.next_request()).poll(),
        "not called before it is ready"
    );
    handle.allow(1);
    assert_pending!(response.poll());
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request.target(), &target(SECOND));
    respond.send_response(Answer::new("hi"));
    response.await.unwrap();
}

#[tokio::test]
async fn dropping_the_call_drops_the_hop_in_hand() {
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let inner = {
        let dropped = Arc::clone(&dropped);
        service_fn(move |call: Call| {
            let dropped = Arc::clone(&dropped);
            async move {
                let model = call.target().model().to_string();
                if model == PRIMARY {
                    return fail(FaultKind::Unavailable);
                }
                let _guard = OnDrop(Some(move || dropped.lock().unwrap().push(model)));
                pending().await
            }
        })
    };
    let service = FallbackLayer::new([chain()]).unwrap().layer(inner);
    let mut response = task::spawn(service.oneshot(call()));
    assert_pending!(response.poll());
    drop(response);
    assert_eq!(*dropped.lock().unwrap(), [SECOND]);
}

#[tokio::test]
async fn an_error_of_our_own_is_a_rejection_that_carries_its_fault() {
    let inner = service_fn(|_: Call| async { fail(FaultKind::Unknown) });
    let forecast = Forecast(|_| Duration::MAX);
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    let error = layer.layer(inner).oneshot(call()).await.unwrap_err();
    let own = std::iter::successors(error.source(), |error| error.source())
        .find_map(|error| error.downcast_ref::<Unserved>().copied());
    assert_eq!(
        Fault::find(&own.unwrap()),
        Some(FaultKind::NoHeadroom.into())
    );
}
