//! What the standard stack costs on a call that is answered at once, and what each of its layers adds:
//! `cargo bench -p tower-bedrock --bench stack`.
//!
//! No metrics recorder and no subscriber is installed, so this is what measuring costs where nobody looks.

#![allow(clippy::unwrap_used)]

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use criterion::{Criterion, criterion_group, criterion_main};
use tower::layer::util::Identity;
use tower_bedrock::{
    Answer, BoxError, Demand, Invocation, StandardStack, Target, TokenUsage,
    breaker::CircuitBreakerLayer,
    cloudwatch::{MetricsLayer, TraceLayer},
    fallback::{Alternative, Chain, FallbackLayer},
    quota::{LimitTable, Limits, QuotaLayer, QuotaPattern},
    retry::RetryLayer,
    timeout::TimeoutLayer,
};
use tower_layer::Layer;
use tower_service::Service;

const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

type Request = Invocation<&'static str>;

#[derive(Clone)]
struct Leaf;

impl Service<Request> for Leaf {
    type Response = Answer<&'static str>;
    type Error = BoxError;
    type Future = Ready<Result<Answer<&'static str>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        let usage = TokenUsage {
            input: 10,
            output: 20,
            ..TokenUsage::default()
        };
        ready(Ok(Answer::new("hello").with_usage(usage)))
    }
}

fn request() -> Request {
    Invocation::new(Target::parse("us-east-1", MODEL).unwrap(), "hello")
        .with_demand(Demand::new(10).with_max_output_tokens(100))
}

fn measure<S: Service<Request>>(
    criterion: &mut Criterion,
    name: &str,
    layer: impl Layer<Leaf, Service = S>,
) {
    let request = request();
    let mut service = layer.layer(Leaf);
    let mut call = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let call = pin!(service.call(request.clone()));
        assert!(black_box(call.poll(&mut cx)).is_ready());
    };
    // The first call to a target makes the state that is kept for it.
    call();
    let allocations = allocation_counter::measure(&mut call).count_total;
    criterion.bench_function(&format!("{name} ({allocations} allocations)"), |bencher| {
        bencher.iter(&mut call);
    });
}

/// A quota that a benchmark does not use up.
fn quota() -> QuotaLayer {
    let endless = Limits::new()
        .with_requests_per_minute(Limits::MAX)
        .with_tokens_per_minute(Limits::MAX);
    let table = LimitTable::new().with(QuotaPattern::any(), endless);
    QuotaLayer::with_limits(table).unwrap()
}

fn fallback() -> FallbackLayer {
    let elsewhere = Alternative::region("us-west-2".parse().unwrap());
    FallbackLayer::new([Chain::new(MODEL.parse().unwrap()).or(elsewhere)]).unwrap()
}

fn layers(criterion: &mut Criterion) {
    // Time limits need a clock to go by.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    measure(criterion, "no layer", Identity::new());
    measure(criterion, "trace, attempts", TraceLayer::attempts());
    measure(criterion, "metrics, attempts", MetricsLayer::attempts());
    measure(criterion, "timeout", TimeoutLayer::ATTEMPT);
    measure(criterion, "quota", quota());
    measure(
        criterion,
        "breaker",
        CircuitBreakerLayer::builder().build().unwrap(),
    );
    measure(criterion, "retry", RetryLayer::default());
    measure(criterion, "fallback", fallback());
    let stack = StandardStack::new().unwrap().with_quota(quota());
    measure(criterion, "the standard stack", stack.clone());
    measure(
        criterion,
        "the standard stack with a fallback",
        stack.with_fallback(fallback()),
    );
}

criterion_group!(benches, layers);
criterion_main!(benches);
