//! The responder at the end of a chain, where the service itself has trouble with readiness.

use std::{
    future::pending,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Context, Demand, Fault, FaultKind, HasCompletion, HasFault, Headroom,
    Invocation, Target,
};
use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer};
use tower_test::mock;

type Call = Invocation<&'static str>;
type Response = Answer<&'static str>;

const MODEL: &str = "us.amazon.nova-pro-v1:0";

fn call() -> Call {
    Invocation::new(Target::parse("us-east-1", MODEL).unwrap(), "hello")
}

fn layer() -> FallbackLayer {
    let elsewhere = Alternative::region("us-west-2".parse().unwrap());
    FallbackLayer::new([Chain::new(MODEL.parse().unwrap()).or(elsewhere)]).unwrap()
}

async fn canned(_: Call) -> Result<Response, BoxError> {
    Ok(Answer::new("please try again later"))
}

/// No hop could ever serve anything.
struct NoHeadroom;

impl Headroom for NoHeadroom {
    fn time_to_serve(&self, _: &Target, _: &Demand, _: &Context) -> Duration {
        Duration::MAX
    }
}

#[tokio::test]
async fn what_no_hop_was_called_with_is_not_held_while_the_responder_answers() {
    let slow = service_fn(|_: Call| pending::<Result<Response, BoxError>>());
    let layer = layer()
        .skip_without_headroom(NoHeadroom, Duration::ZERO)
        .or_degraded(slow);
    let mut service = layer.layer(ConcurrencyLimitLayer::new(1).layer(service_fn(canned)));
    let mut other = service.clone();

    // The only permit comes with readiness, and no hop uses it.
    let mut response = task::spawn(service.ready().await.unwrap().call(call()));
    assert_pending!(response.poll());

    // The service that stays behind is not polled again, so the permit is free.
    assert_ready_ok!(task::spawn(other.ready()).poll());
}

/// A service that fails for good after its first call, as a closed buffer does.
#[derive(Clone, Default)]
struct Closed {
    called: bool,
}

impl Service<Call> for Closed {
    type Response = Response;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(match self.called {
            true => Err(Fault::new(FaultKind::Transport).into()),
            false => Ok(()),
        })
    }

    fn call(&mut self, _: Call) -> Self::Future {
        self.called = true;
        std::future::ready(Err(Fault::new(FaultKind::Unavailable).into()))
    }
}

#[tokio::test]
async fn a_service_that_fails_between_hops_leaves_the_responder() {
    let mut service = layer()
        .or_degraded(service_fn(canned))
        .layer(Closed::default());
    let answer = service.ready().await.unwrap().call(call()).await.unwrap();
    let history = answer.history().unwrap();
    assert!(history.degraded.is_some());
    assert_eq!((history.failed_hops.len(), history.attempts), (1, 1));
}

#[tokio::test]
async fn a_responder_that_fails_leaves_the_error_of_the_service_that_was_not_ready() {
    let broken = service_fn(|_: Call| async { Err::<Response, _>(BoxError::from("broken")) });
    let (mock, mut handle) = mock::pair::<Call, Response>();
    let mut service = layer().or_degraded(broken).layer(mock);
    handle.allow(1);
    let mut response = task::spawn(service.ready().await.unwrap().call(call()));
    assert_pending!(response.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(Fault::new(FaultKind::Unavailable));
    handle.send_error(Fault::new(FaultKind::Transport));
    let error = assert_ready!(response.poll()).unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    assert_eq!(error.history().unwrap().failed_hops.len(), 1);
}
