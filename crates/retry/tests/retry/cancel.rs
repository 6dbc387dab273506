//! A call dropped at any of its await points leaves nothing behind.

use std::sync::Arc;

use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service};
use tower_bedrock_core::{Fault, FaultKind};
use tower_bedrock_retry::{
    Backoff, Budget, Jitter, Plan, Policy, ResponseFuture, RetryLayer, Schedule,
};
use tower_test::mock::{self, Handle, Mock, Spawn};

use crate::common::{Record, Request, Response, request, secs, target};

type Call = task::Spawn<ResponseFuture<Guarded, Request, Arc<Record>>>;

/// A mock that counts its clones by the reference it holds.
#[derive(Clone, Debug)]
struct Guarded {
    mock: Mock<Request, Response>,
    _alive: Arc<()>,
}

impl Service<Request> for Guarded {
    type Response = Response;
    type Error = tower_bedrock_core::BoxError;
    type Future = <Mock<Request, Response> as Service<Request>>::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.mock.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.mock.call(request)
    }
}

struct Setup {
    layer: RetryLayer<Arc<Record>>,
    service: Spawn<tower_bedrock_retry::Retry<Guarded, Arc<Record>>>,
    handle: Handle<Request, Response>,
    alive: Arc<()>,
}

impl Setup {
    fn new() -> Self {
        let backoff = Backoff::new(secs(10), secs(10)).unwrap();
        let schedule = Schedule::new(backoff.with_jitter(Jitter::None));
        let plan = Plan::empty().with(FaultKind::Internal, schedule);
        let layer = RetryLayer::builder(Policy::builder().plan(plan).build().unwrap())
            .budget(
                Budget::builder()
                    .burst(4)
                    .floor_per_second(0.0)
                    .build()
                    .unwrap(),
            )
            .observer(Arc::<Record>::default())
            .build();
        let alive = Arc::new(());
        let (service, handle) = mock::spawn_with(|mock| {
            layer.layer(Guarded {
                mock,
                _alive: Arc::clone(&alive),
            })
        });
        Self {
            layer,
            service,
            handle,
            alive,
        }
    }

    /// A call whose first attempt is under way.
    fn call(&mut self) -> Call {
        self.handle.allow(1);
        assert_ready_ok!(self.service.poll_ready());
        let mut call = task::spawn(self.service.call(request()));
        assert_pending!(call.poll());
        call
    }

    async fn fail(&mut self) {
        let (_, reply) = self.handle.next_request().await.unwrap();
        reply.send_error(Fault::new(FaultKind::Internal));
    }

    fn budget_left(&self) -> u32 {
        self.layer.budget_left(&target()).unwrap()
    }

    /// The service's own and the test's.
    #[track_caller]
    fn assert_nothing_left_behind(&mut self) {
        assert_eq!(Arc::strong_count(&self.alive), 2);
        assert!(task::spawn(self.handle.next_request()).poll().is_pending());
    }
}

#[tokio::test(start_paused = true)]
async fn before_its_first_poll() {
    let mut setup = Setup::new();
    setup.handle.allow(1);
    assert_ready_ok!(setup.service.poll_ready());
    drop(setup.service.call(request()));
    assert_eq!(setup.budget_left(), 4);
    let (_, reply) = setup.handle.next_request().await.unwrap();
    drop(reply);
    setup.assert_nothing_left_behind();
}

#[tokio::test(start_paused = true)]
async fn during_the_first_attempt() {
    let mut setup = Setup::new();
    drop(setup.call());
    let (_, reply) = setup.handle.next_request().await.unwrap();
    // Nobody waits for the answer any more.
    reply.send_error(Fault::new(FaultKind::Internal));
    assert_eq!(setup.budget_left(), 4);
    setup.assert_nothing_left_behind();
}

#[tokio::test(start_paused = true)]
async fn during_the_backoff() {
    let mut setup = Setup::new();
    let mut call = setup.call();
    setup.fail().await;
    assert_pending!(call.poll());
    assert_eq!(setup.budget_left(), 3);
    drop(call);
    assert_eq!(setup.budget_left(), 4);
    setup.handle.allow(1);
    tokio::time::advance(secs(60)).await;
    setup.assert_nothing_left_behind();
}

#[tokio::test(start_paused = true)]
async fn while_the_service_is_not_ready() {
    let mut setup = Setup::new();
    let mut call = setup.call();
    setup.fail().await;
    assert_pending!(call.poll());
    tokio::time::advance(secs(10)).await;
    assert_pending!(call.poll());
    assert_eq!(setup.budget_left(), 3);
    drop(call);
    assert_eq!(setup.budget_left(), 4);
    setup.handle.allow(1);
    setup.assert_nothing_left_behind();
}

/// The target has had the call, whoever waits for the answer: the token stays spent.
#[tokio::test(start_paused = true)]
async fn during_a_retry() {
    let mut setup = Setup::new();
    let mut call = setup.call();
    setup.fail().await;
    assert_pending!(call.poll());
    setup.handle.allow(1);
    tokio::time::advance(secs(10)).await;
    assert_pending!(call.poll());
    let (_, reply) = setup.handle.next_request().await.unwrap();
    drop(call);
    drop(reply);
    assert_eq!(setup.budget_left(), 3);
    setup.assert_nothing_left_behind();
}
