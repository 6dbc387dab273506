//! What the tests share: a breaker around a `tower-test` mock, and ways to put calls through it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::task::Poll;

use tokio_test::task::Spawn;
use tower_bedrock_breaker::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerHandle, CircuitBreakerLayer, KeyFn, Open,
    PerTarget, ResponseFuture, State,
};
use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind, HasCompletion, Invocation, Target};
use tower_layer::Layer;
use tower_service::Service;
use tower_test::mock::{self, Handle, Mock, SendResponse};

pub type Call = Invocation<&'static str>;
pub type Reply = Answer<&'static str>;
type Inner<R> = Mock<Call, R>;
pub type Pending<Q, R = Reply> =
    Spawn<ResponseFuture<Inner<R>, Call, <Inner<R> as Service<Call>>::Future, Q>>;

/// The model that most tests call.
pub const NOVA: &str = "amazon.nova-lite-v1:0";
/// Another one.
pub const CLAUDE: &str = "anthropic.claude-sonnet-4-20250514-v1:0";

pub fn target(model: &str) -> Target {
    Target::parse("us-east-1", model).expect("a model id")
}

pub fn call(model: &str) -> Call {
    Invocation::new(target(model), "Say hello.")
}

/// One probe, so that its place, and whether it is lost, shows at once.
pub fn one_probe() -> CircuitBreakerBuilder {
    CircuitBreakerLayer::builder().permitted_number_of_calls_in_half_open_state(1)
}

pub struct Rig<K: KeyFn = PerTarget, R = Reply> {
    pub service: CircuitBreaker<Inner<R>, K>,
    pub inner: Handle<Call, R>,
    pub handle: CircuitBreakerHandle<K>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(CircuitBreakerLayer::builder())
    }
}

impl<K: KeyFn, R: HasCompletion> Rig<K, R> {
    pub fn with(builder: CircuitBreakerBuilder<K>) -> Self {
        let layer = builder.build().expect("settings in range");
        let (mock, inner) = mock::pair();
        Self {
            handle: layer.handle(),
            service: layer.layer(mock),
            inner,
        }
    }

    /// Starts a call that gets as far as the inner service, and answers it with the means to answer it.
    pub async fn start(&mut self, model: &str) -> (Pending<K::Key, R>, SendResponse<R>) {
        let mut pending = tokio_test::task::spawn(self.service.call(call(model)));
        assert!(pending.poll().is_pending(), "turned away");
        let (_, respond) = self.inner.next_request().await.expect("the inner service");
        (pending, respond)
    }

    /// A call that the breaker turns away without asking the inner service.
    pub async fn refused(&mut self, model: &str) -> Open {
        let mut pending = tokio_test::task::spawn(self.service.call(call(model)));
        let Poll::Ready(Err(error)) = pending.poll() else {
            panic!("not turned away");
        };
        assert!(self.inner_is_untouched(), "asked in spite of the breaker");
        *error.downcast::<Open>().expect("Open")
    }

    pub fn inner_is_untouched(&mut self) -> bool {
        let mut next = tokio_test::task::spawn(self.inner.next_request());
        next.poll().is_pending()
    }
}

impl<R> Rig<PerTarget, R> {
    pub fn state(&self, model: &str) -> State {
        self.handle.state(&target(model))
    }
}

impl<K: KeyFn> Rig<K> {
    /// Puts a call through and has it answered.
    pub async fn send(
        &mut self,
        model: &str,
        answer: Result<(), FaultKind>,
    ) -> Result<Reply, BoxError> {
        let (pending, respond) = self.start(model).await;
        finish(pending, respond, answer).await
    }

    /// Puts calls through that all end the same way.
    pub async fn repeat(&mut self, times: usize, model: &str, answer: Result<(), FaultKind>) {
        for _ in 0..times {
            let result = self.send(model, answer).await;
            assert_eq!(result.is_ok(), answer.is_ok());
        }
    }
}

impl Rig {
    /// Fails calls until the breaker opens.
    pub async fn trip(&mut self, model: &str) {
        let mut failures = 0;
        while self.state(model) == State::Closed {
            self.repeat(1, model, Err(FaultKind::Unavailable)).await;
            failures += 1;
            assert!(failures <= 1_000, "never opens");
        }
        assert_eq!(self.state(model), State::Open);
    }

    /// Opens it and lets the open interval pass, so that the next call is the first probe.
    pub async fn trip_and_wait(&mut self, model: &str) {
        self.trip(model).await;
        let open = self.refused(model).await;
        tokio::time::advance(open.retry_after().expect("a time")).await;
    }
}

/// Has a call answered that was started before.
pub async fn finish<Q: Clone + Send + Sync + 'static>(
    pending: Pending<Q>,
    respond: SendResponse<Reply>,
    answer: Result<(), FaultKind>,
) -> Result<Reply, BoxError> {
    match answer {
        Ok(()) => respond.send_response(Answer::new("Hello.")),
        Err(kind) => respond.send_error(Fault::new(kind)),
    }
    pending.await
}
