//! What a call through the layer costs, beside `tower::retry`: `cargo bench -p tower-bedrock-retry`.
//!
//! Prints the allocations of a call first, then measures it.

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
use tower::{Layer, Service};
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

fn measure<S: Service<Request>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    request: &Request,
    mut service: impl FnMut() -> S,
) {
    let mut once = service();
    let counted = allocation_counter::measure(|| call(&mut once, request));
    println!("{name}: {} allocations", counted.count_total);
    group.bench_function(name, |bencher| {
        let mut service = service();
        bencher.iter(|| call(&mut service, request));
    });
}

fn first_attempt(criterion: &mut Criterion) {
    let Ok(request) = request() else { return };
    let mut group = criterion.benchmark_group("answered at once");
    measure(&mut group, "no layer", &request, Leaf::default);
    measure(&mut group, "tower", &request, || {
        tower::retry::RetryLayer::new(TowerPolicy).layer(Leaf::default())
    });
    measure(&mut group, "this", &request, || {
        RetryLayer::default().layer(Leaf::default())
    });
    let short = short_of_retries(&request);
    measure(
        &mut group,
        "this, target short of retries",
        &request,
        || short.layer(Leaf::default()),
    );
    if let Ok(single) = Policy::builder().max_attempts(1).build() {
        let layer = RetryLayer::new(single);
        measure(&mut group, "this, one attempt", &request, || {
            layer.layer(Leaf::default())
        });
    }
    group.finish();
}

/// A target that has failed, so that every answer looks for its budget. This budget never fills up.
fn short_of_retries(request: &Request) -> RetryLayer {
    let budget = Budget::builder().percent(0).floor_per_second(0.0).build();
    let policy = Policy::builder().max_attempts(2).build();
    let layer = RetryLayer::builder(policy.unwrap_or_default())
        .budget(budget.unwrap_or_default())
        .build();
    let leaf = Leaf::default();
    leaf.fail(2);
    call(&mut layer.layer(leaf), request);
    layer
}

fn second_attempt(criterion: &mut Criterion) {
    let Ok(request) = request() else { return };
    let mut group = criterion.benchmark_group("answered at the second attempt");
    let leaf = Leaf::default();
    let mut tower = tower::retry::RetryLayer::new(TowerPolicy).layer(leaf.clone());
    group.bench_function("tower", |bencher| {
        bencher.iter(|| {
            leaf.fail(1);
            call(&mut tower, &request);
        });
    });
    let mut this = RetryLayer::default().layer(leaf.clone());
    group.bench_function("this", |bencher| {
        bencher.iter(|| {
            leaf.fail(1);
            call(&mut this, &request);
        });
    });
    group.finish();
}

fn decisions(criterion: &mut Criterion) {
    let Ok(request) = request() else { return };
    let mut group = criterion.benchmark_group("pure");
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
