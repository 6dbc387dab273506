//! What the standard stack costs, and what each of its layers adds: `cargo bench -p tower-bedrock --bench stack`.
//!
//! No subscriber is installed, and no metrics recorder but where the name says so: this is what measuring costs
//! where nobody looks.

#![allow(clippy::unwrap_used)]

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use bench_support::{Bench, Later, call};
use tower::layer::util::Identity;
use tower_bedrock::{
    Answer, BoxError, Demand, Invocation, StandardStack, Target, TokenUsage,
    breaker::CircuitBreakerLayer,
    cloudwatch::{MetricsLayer, TraceLayer, recorder::CloudWatchRecorder},
    fallback::{Alternative, Chain, FallbackLayer},
    quota::{LimitTable, Limits, QuotaLayer, QuotaPattern},
    retry::RetryLayer,
    timeout::TimeoutLayer,
};
use tower_layer::Layer;
use tower_service::Service;

const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

type Request = Invocation<&'static str>;
type Response = Result<Answer<&'static str>, BoxError>;

fn answer() -> Response {
    let usage = TokenUsage {
        input: 10,
        output: 20,
        ..TokenUsage::default()
    };
    Ok(Answer::new("hello").with_usage(usage))
}

/// Answers at once.
#[derive(Clone)]
struct Leaf;

impl Service<Request> for Leaf {
    type Response = Answer<&'static str>;
    type Error = BoxError;
    type Future = Ready<Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        ready(answer())
    }
}

/// Answers at the second poll.
#[derive(Clone)]
struct Network;

impl Service<Request> for Network {
    type Response = Answer<&'static str>;
    type Error = BoxError;
    type Future = Later<Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        Later::new(answer())
    }
}

fn request() -> Request {
    request_to(MODEL)
}

fn request_to(model: &str) -> Request {
    Invocation::new(Target::parse("us-east-1", model).unwrap(), "hello")
        .with_demand(Demand::new(10).with_max_output_tokens(100))
}

fn measure<S: Service<Request>>(bench: &mut Bench, name: &str, make: impl FnOnce() -> S) {
    bench.case(name, || {
        let request = request();
        let mut service = make();
        move || call(&mut service, &request)
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

fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder().build().unwrap()
}

fn fallback() -> FallbackLayer {
    let elsewhere = Alternative::region("us-west-2".parse().unwrap());
    FallbackLayer::new([Chain::new(MODEL.parse().unwrap()).or(elsewhere)]).unwrap()
}

fn stack() -> StandardStack {
    StandardStack::new().unwrap().with_quota(quota())
}

fn layers(bench: &mut Bench) {
    measure(bench, "no layer", || Identity::new().layer(Leaf));
    measure(bench, "trace, attempts", || {
        TraceLayer::attempts().layer(Leaf)
    });
    measure(bench, "metrics, attempts", || {
        MetricsLayer::attempts().layer(Leaf)
    });
    measure(bench, "timeout", || TimeoutLayer::ATTEMPT.layer(Leaf));
    measure(bench, "quota", || quota().layer(Leaf));
    measure(bench, "breaker", || breaker().layer(Leaf));
    measure(bench, "retry", || RetryLayer::default().layer(Leaf));
    measure(bench, "fallback", || fallback().layer(Leaf));
}

fn stacks(bench: &mut Bench) {
    let name = "the standard stack";
    measure(bench, name, || stack().layer(Leaf));
    let name = "the standard stack with a fallback";
    measure(bench, name, || {
        stack().with_fallback(fallback()).layer(Leaf)
    });
    let name = "the standard stack, answered at the second poll";
    measure(bench, name, || stack().layer(Network));
    let name = "the standard stack, metrics recorded for CloudWatch";
    bench.case(name, || {
        let recorder = CloudWatchRecorder::builder().build().unwrap();
        let request = request();
        // Handles are registered when a target is first called.
        let mut service = metrics::with_local_recorder(&recorder, || {
            let mut service = stack().layer(Leaf);
            call(&mut service, &request);
            service
        });
        move || {
            let _kept = &recorder;
            call(&mut service, &request);
        }
    });
    // A clone for each call, as a server's handlers have.
    let name = "the standard stack, two threads on one target";
    bench.two_threads(name, || {
        let service = stack().layer(Leaf);
        let request = request();
        move |_| call(&mut service.clone(), &request)
    });
    let name = "the standard stack, two threads on a target each";
    bench.two_threads(name, || {
        let service = stack().layer(Leaf);
        let requests = [request(), request_to("us.amazon.nova-lite-v1:0")];
        move |thread| call(&mut service.clone(), &requests[thread])
    });
}

fn main() {
    // Time limits need a clock to go by.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut bench = Bench::from_args();
    layers(&mut bench);
    stacks(&mut bench);
    bench.finish();
}
