//! What a call through the layer costs, beside the retry layers of tower and tower-resilience:
//! `cargo bench -p tower-bedrock-retry`.

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::Instant;
use tower::{Layer, Service, layer::util::Identity};
use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind, Invocation, Target};
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

fn request() -> Result<Request, BoxError> {
    let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
    Ok(Invocation::new(target, "hello"))
}

fn call<S: Service<Request>>(service: &mut S, request: &Request) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let call = pin!(service.call(request.clone()));
    assert!(black_box(call.poll(&mut cx)).is_ready());
}

/// Measures a call whose first attempts fail as often as is said.
fn measure<S: Service<Request>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    layer: &impl Layer<Leaf, Service = S>,
    failures: u32,
) {
    let Ok(request) = request() else { return };
    let leaf = Leaf::default();
    let mut service = layer.layer(leaf.clone());
    let mut once = || {
        leaf.fail(failures);
        call(&mut service, &request);
    };
    // The first call to a target makes the state that is kept for it.
    once();
    let allocations = allocation_counter::measure(&mut once).count_total;
    group.bench_function(format!("{name} ({allocations} allocations)"), |bencher| {
        bencher.iter(&mut once);
    });
}

fn first_attempt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry, answered at once");
    measure(&mut group, "no layer", &Identity::new(), 0);
    measure(&mut group, "tower-bedrock", &RetryLayer::default(), 0);
    if let Some(layer) = short_of_retries() {
        let name = "tower-bedrock, target short of retries";
        measure(&mut group, name, &layer, 0);
    }
    if let Ok(single) = Policy::builder().max_attempts(1).build() {
        let layer = RetryLayer::new(single);
        measure(&mut group, "tower-bedrock, one attempt", &layer, 0);
    }
    let tower = tower::retry::RetryLayer::new(TowerPolicy);
    measure(&mut group, "tower", &tower, 0);
    measure(&mut group, "tower-resilience", &tower_resilience(), 0);
    group.finish();
}

/// A target that has failed, so that every answer looks for its budget. This budget never fills up.
fn short_of_retries() -> Option<RetryLayer> {
    let request = request().ok()?;
    let budget = Budget::builder().percent(0).floor_per_second(0.0).build();
    let policy = Policy::builder().max_attempts(2).build();
    let layer = RetryLayer::builder(policy.ok()?)
        .budget(budget.ok()?)
        .build();
    let leaf = Leaf::default();
    leaf.fail(2);
    call(&mut layer.layer(leaf), &request);
    Some(layer)
}

fn second_attempt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry, answered at the second attempt");
    measure(&mut group, "tower-bedrock", &RetryLayer::default(), 1);
    let tower = tower::retry::RetryLayer::new(TowerPolicy);
    measure(&mut group, "tower", &tower, 1);
    group.finish();
}

/// It has no delay of zero, so only its first attempt can be compared.
fn tower_resilience() -> tower_resilience_retry::RetryLayer<Request, Response, Fault> {
    tower_resilience_retry::RetryLayer::builder()
        .max_attempts(5)
        .build()
}

fn decisions(criterion: &mut Criterion) {
    let Ok(request) = request() else { return };
    let mut group = criterion.benchmark_group("retry, pure");
    let mut rng = StdRng::seed_from_u64(1);
    let backoff = Backoff::default();
    group.bench_function("full jitter", |bencher| {
        bencher.iter(|| backoff.delay(black_box(3), None, &mut rng));
    });
    let policy = Policy::default();
    let now = Instant::now();
    let target = tower_bedrock_core::HasTarget::target(&request);
    let fault = Fault::new(FaultKind::ThrottledTokens);
    group.bench_function("decision", |bencher| {
        bencher.iter(|| {
            let deadline = Some(now + Duration::from_secs(60));
            let mut session = Session::new(&policy, deadline, || now);
            let decision = session.decide(&policy, target, black_box(fault), now, &mut rng);
            assert!(matches!(decision, Decision::RetryIn(_)));
        });
    });
    group.finish();
}

criterion_group!(benches, first_attempt, second_attempt, decisions);
criterion_main!(benches);
