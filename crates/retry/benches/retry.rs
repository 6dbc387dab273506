//! What a call through the layer costs, beside the retry layers of tower and tower-resilience:
//! `cargo bench -p tower-bedrock-retry`.

#![allow(clippy::unwrap_used)]

use std::{
    future::{Ready, ready},
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bench_support::{Bench, call};
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::Instant;
use tower::{Layer, Service, layer::util::Identity};
use tower_bedrock_core::{Answer, Fault, FaultKind, HasTarget, Invocation, Target};
use tower_bedrock_retry::{Backoff, Budget, Decision, Policy, RetryLayer, Session};

type Request = Invocation<&'static str>;
type Response = Answer<&'static str>;

/// Fails the attempts it is told to, and answers the others at once.
#[derive(Clone, Debug, Default)]
struct Leaf {
    faults: Arc<AtomicU32>,
}

impl Leaf {
    fn fail(&self, times: u32) {
        self.faults.store(times, Ordering::Relaxed);
    }
}

impl Service<Request> for Leaf {
    type Response = Response;
    type Error = Fault;
    type Future = Ready<Result<Response, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        ready(match self.faults.load(Ordering::Relaxed) {
            0 => Ok(Answer::new("answer")),
            left => {
                self.fail(left - 1);
                Err(Fault::new(FaultKind::Unavailable))
            }
        })
    }
}

/// tower's retry with a policy that clones the request and retries errors.
#[derive(Clone, Debug)]
struct TowerPolicy;

impl tower::retry::Policy<Request, Response, Fault> for TowerPolicy {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request,
        result: &mut Result<Response, Fault>,
    ) -> Option<Ready<()>> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }
}

fn request() -> Request {
    let model = "us.anthropic.claude-sonnet-4-20250514-v1:0";
    Invocation::new(Target::parse("us-east-1", model).unwrap(), "hello")
}

/// Measures a call whose first attempts fail as often as is said.
fn measure<S: Service<Request>, L: Layer<Leaf, Service = S>>(
    bench: &mut Bench,
    name: &str,
    layer: impl FnOnce() -> L,
    failures: u32,
) {
    bench.case(name, || {
        let request = request();
        let leaf = Leaf::default();
        let mut service = layer().layer(leaf.clone());
        move || {
            leaf.fail(failures);
            call(&mut service, &request);
        }
    });
}

fn first_attempt(bench: &mut Bench) {
    let name = |name| format!("retry, answered at once/{name}");
    measure(bench, &name("no layer"), Identity::new, 0);
    measure(bench, &name("tower-bedrock"), RetryLayer::default, 0);
    let short = name("tower-bedrock, target short of retries");
    measure(bench, &short, short_of_retries, 0);
    let once = || {
        let policy = Policy::builder().max_attempts(1).build();
        RetryLayer::new(policy.unwrap())
    };
    measure(bench, &name("tower-bedrock, one attempt"), once, 0);
    measure(bench, &name("tower"), tower, 0);
    measure(bench, &name("tower-resilience"), tower_resilience, 0);
}

/// A target that has failed, so that every answer looks for its budget. This budget never fills up.
fn short_of_retries() -> RetryLayer {
    let budget = Budget::builder().percent(0).floor_per_second(0.0).build();
    let policy = Policy::builder().max_attempts(2).build();
    let layer = RetryLayer::builder(policy.unwrap())
        .budget(budget.unwrap())
        .build();
    let leaf = Leaf::default();
    leaf.fail(2);
    call(&mut layer.layer(leaf), &request());
    layer
}

fn second_attempt(bench: &mut Bench) {
    let name = |name| format!("retry, answered at the second attempt/{name}");
    measure(bench, &name("tower-bedrock"), RetryLayer::default, 1);
    measure(bench, &name("tower"), tower, 1);
}

fn tower() -> tower::retry::RetryLayer<TowerPolicy> {
    tower::retry::RetryLayer::new(TowerPolicy)
}

/// It has no delay of zero, so only its first attempt can be compared.
fn tower_resilience() -> tower_resilience_retry::RetryLayer<Request, Response, Fault> {
    tower_resilience_retry::RetryLayer::builder()
        .max_attempts(5)
        .build()
}

fn decisions(bench: &mut Bench) {
    bench.case("retry, pure/full jitter", || {
        let mut rng = StdRng::seed_from_u64(1);
        let backoff = Backoff::default();
        move || {
            black_box(backoff.delay(black_box(3), None, &mut rng));
        }
    });
    bench.case("retry, pure/decision", || {
        let mut rng = StdRng::seed_from_u64(1);
        let policy = Policy::default();
        let now = Instant::now();
        let request = request();
        let fault = Fault::new(FaultKind::ThrottledTokens);
        move || {
            let deadline = Some(now + Duration::from_secs(60));
            let mut session = Session::new(&policy, deadline, || now);
            let target = request.target();
            let decision = session.decide(&policy, target, black_box(fault), now, &mut rng);
            assert!(matches!(decision, Decision::RetryIn(_)));
        }
    });
}

fn main() {
    let mut bench = Bench::from_args();
    first_attempt(&mut bench);
    second_attempt(&mut bench);
    decisions(&mut bench);
    bench.finish();
}
