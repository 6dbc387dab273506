//! What the tests share.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll},
};

use rand::{SeedableRng, TryRng, rngs::StdRng};
use tokio::time::{Duration, Instant};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bedrock_core::{
    Answer, BoxError, Context, Fault, FaultKind, GaveUp, HasCompletion, HasFault, Invocation,
    Target,
};
use tower_bedrock_retry::{
    Backoff, Failure, Jitter, Observer, Plan, Policy, ResponseFuture, Retry, RetryLayer, Schedule,
};
use tower_test::mock::{self, Handle, Mock};

pub(crate) type Request = Invocation<&'static str>;
pub(crate) type Response = Answer<&'static str>;

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn target() -> Target {
    model("amazon.nova-lite-v1:0")
}

pub(crate) fn model(model: &str) -> Target {
    Target::parse("us-east-1", model).unwrap()
}

pub(crate) fn request() -> Request {
    Invocation::new(target(), "hello")
}

pub(crate) fn request_within(limit: Duration) -> Request {
    request().with_context(Context::new().with_deadline(Instant::now() + limit))
}

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// A seeded layer with the given policy and no budget.
pub(crate) fn layer(policy: Policy) -> RetryLayer {
    RetryLayer::builder(policy).budget(None).rng(rng(1)).build()
}

/// Always the same number: zero draws the low end of every range, `u64::MAX` the high end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Always(pub(crate) u64);

impl TryRng for Always {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0 >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0 as u8);
        Ok(())
    }
}

/// A leaf that meets a list of faults, one an attempt, and then answers. Notes when it was called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    state: Arc<Mutex<ScriptState>>,
}

#[derive(Debug, Default)]
struct ScriptState {
    faults: Vec<Fault>,
    calls: Vec<Instant>,
}

impl Script {
    pub(crate) fn of(faults: impl IntoIterator<Item = impl Into<Fault>>) -> Self {
        let mut faults: Vec<Fault> = faults.into_iter().map(Into::into).collect();
        faults.reverse();
        let calls = Vec::new();
        Self {
            state: Arc::new(Mutex::new(ScriptState { faults, calls })),
        }
    }

    /// Never answers.
    pub(crate) fn always(fault: impl Into<Fault>) -> Self {
        Self::of(vec![fault.into(); 2_000])
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls.len()
    }

    /// The waits between the calls.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        let calls = &self.state.lock().unwrap().calls;
        calls.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

impl<I> Service<Invocation<I>> for Script {
    type Response = Response;
    type Error = BoxError;
    type Future = Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Invocation<I>) -> Self::Future {
        let mut state = self.state.lock().unwrap();
        state.calls.push(Instant::now());
        ready(match state.faults.pop() {
            Some(fault) => Err(fault.into()),
            None => Ok(Answer::new("answer")),
        })
    }
}

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answered {
        attempts: u32,
    },
    Failed {
        attempts: u32,
        kind: FaultKind,
        gave_up: Option<GaveUp>,
    },
}

impl End {
    pub(crate) fn failed(
        attempts: u32,
        kind: FaultKind,
        gave_up: impl Into<Option<GaveUp>>,
    ) -> Self {
        let gave_up = gave_up.into();
        Self::Failed {
            attempts,
            kind,
            gave_up,
        }
    }
}

pub(crate) async fn run<O: Observer>(
    layer: &RetryLayer<O>,
    script: &Script,
    request: Request,
) -> End {
    let service: Retry<Script, O> = layer.layer(script.clone());
    end(service.oneshot(request).await)
}

pub(crate) fn end(result: Result<Response, BoxError>) -> End {
    match result {
        Ok(answer) => End::Answered {
            attempts: answer.history().unwrap().attempts,
        },
        Err(error) => {
            let history = error.history().unwrap();
            End::Failed {
                attempts: history.attempts,
                kind: error.fault().kind(),
                gave_up: history.gave_up,
            }
        }
    }
}

/// Keeps everything it is told.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<Vec<Event>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Failed(Target, FaultKind, u32),
    WillRetry(Duration),
    GaveUp(u32, GaveUp),
}

impl Record {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn delays(&self) -> Vec<Duration> {
        let delay = |event| match event {
            Event::WillRetry(delay) => Some(delay),
            _ => None,
        };
        self.events().into_iter().filter_map(delay).collect()
    }
}

impl Observer for Record {
    fn attempt_failed(&self, failure: &Failure<'_>) {
        let event = Event::Failed(
            failure.target.clone(),
            failure.fault.kind(),
            failure.attempt,
        );
        self.0.lock().unwrap().push(event);
    }

    fn will_retry(&self, _: &Failure<'_>, delay: Duration) {
        self.0.lock().unwrap().push(Event::WillRetry(delay));
    }

    fn gave_up(&self, failure: &Failure<'_>, why: GaveUp) {
        let event = Event::GaveUp(failure.attempt, why);
        self.0.lock().unwrap().push(event);
    }
}

/// Retries every kind that the default plan does after exactly this long.
pub(crate) fn after(delay: Duration) -> Plan {
    let backoff = Backoff::new(delay, delay).unwrap();
    let schedule = Schedule::new(backoff.with_jitter(Jitter::None));
    Plan::default()
        .iter()
        .fold(Plan::empty(), |plan, (kind, _)| plan.with(kind, schedule))
}

/// A layer without jitter.
pub(crate) fn every(delay: Duration) -> RetryLayer {
    layer(Policy::builder().plan(after(delay)).build().unwrap())
}

pub(crate) type MockCall<O> = task::Spawn<ResponseFuture<Mock<Request, Response>, Request, O>>;

/// A call of a mock that has failed once and will be retried, as soon as the handle allows it.
pub(crate) async fn failed_once<O: Observer>(
    layer: &RetryLayer<O>,
    request: Request,
) -> (MockCall<O>, Handle<Request, Response>) {
    let (mut service, mut handle) = mock::spawn_layer(layer.clone());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request));
    assert_pending!(call.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(Fault::new(FaultKind::Internal));
    assert_pending!(call.poll());
    (call, handle)
}
