//! What one call through a breaker costs, in time and in allocations, beside other circuit breakers.
//!
//! ```text
//! cargo bench -p tower-bedrock-breaker
//! ```
//!
//! The inner service answers at once and its request is a reference, so that nothing but the layer is
//! measured. `recloser` and `failsafe` are no Tower services: theirs is a call of a closure.

use std::{
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
    time::Duration,
};

use bench_support::{Bench, call};
use tower_bedrock_breaker::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerLayer, SlidingWindow,
};
use tower_bedrock_core::{BoxError, Completion, HasCompletion, HasTarget, Target};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone, Copy)]
struct Request(&'static Target);

impl HasTarget for Request {
    fn target(&self) -> &Target {
        self.0
    }

    fn set_target(&mut self, _: Target) {}
}

struct Reply;

impl HasCompletion for Reply {
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
        observer(&Completion::complete(None));
    }
}

#[derive(Clone)]
struct Healthy;

impl Service<Request> for Healthy {
    type Response = Reply;
    type Error = BoxError;
    type Future = Ready<Result<Reply, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        black_box(request);
        ready(Ok(Reply))
    }
}

fn target(number: usize) -> Request {
    let model = format!("us.anthropic.claude-sonnet-4-2025{number:04}-v1:0");
    let target = Target::parse("us-east-1", &model).expect("a target");
    Request(Box::leak(Box::new(target)))
}

fn ours(builder: CircuitBreakerBuilder) -> CircuitBreaker<Healthy> {
    builder.build().expect("settings in range").layer(Healthy)
}

/// A call to one of so many targets after the other.
fn in_turn(
    bench: &mut Bench,
    name: &str,
    builder: impl FnOnce() -> CircuitBreakerBuilder,
    targets: usize,
) {
    bench.case(name, || {
        let requests: Vec<Request> = (0..targets).map(target).collect();
        let mut service = ours(builder());
        for request in &requests {
            call(&mut service, request);
        }
        let mut next = 0;
        move || {
            next = (next + 1) % requests.len();
            call(&mut service, &requests[next]);
        }
    });
}

fn closed_and_healthy(bench: &mut Bench) {
    bench.case("no layer", || {
        let request = target(514);
        move || call(&mut Healthy, &request)
    });
    in_turn(bench, "tower-bedrock", CircuitBreakerLayer::builder, 1);
    bench.case("tower-bedrock, a clone for each call", || {
        let service = ours(CircuitBreakerLayer::builder());
        let request = target(514);
        move || call(&mut service.clone(), &request)
    });
    let window = SlidingWindow::TimeBased(Duration::from_millis(20));
    let over_time = || CircuitBreakerLayer::builder().sliding_window(window);
    in_turn(bench, "tower-bedrock, 20 ms time window", over_time, 1);
    let watched = || CircuitBreakerLayer::builder().slow_call_rate_threshold(100.0);
    in_turn(bench, "tower-bedrock, slow calls watched", watched, 1);
    for targets in [10, 1_000] {
        let name = format!("tower-bedrock, {targets} targets in turn");
        let wide = || CircuitBreakerLayer::builder().max_keys(4_096);
        in_turn(bench, &name, wide, targets);
    }
    bench.two_threads("tower-bedrock, two threads on one target", || {
        let service = ours(CircuitBreakerLayer::builder());
        let request = target(514);
        move |_| call(&mut service.clone(), &request)
    });
}

fn open(bench: &mut Bench) {
    bench.case("tower-bedrock, open: turned away", || {
        let layer = CircuitBreakerLayer::builder()
            .build()
            .expect("settings in range");
        let mut service = layer.layer(Healthy);
        layer.handle().force_open_all();
        let request = target(514);
        move || call(&mut service, &request)
    });
}

fn peers(bench: &mut Bench) {
    bench.case("tower-resilience", || {
        let mut service = tower_resilience_circuitbreaker::CircuitBreakerLayer::builder()
            .sliding_window_size(100)
            .build()
            .expect("settings in range")
            .layer(Healthy);
        let request = target(514);
        move || call(&mut service, &request)
    });
    bench.case("recloser, no service", || {
        let recloser = recloser::Recloser::custom().build();
        move || {
            let result: Result<(), recloser::Error<()>> = recloser.call(|| black_box(Ok(())));
            assert!(result.is_ok());
        }
    });
    bench.case("failsafe, no service", || {
        use failsafe::CircuitBreaker as _;
        let failsafe = failsafe::Config::new().build();
        move || {
            let result: Result<(), failsafe::Error<()>> = failsafe.call(|| black_box(Ok(())));
            assert!(result.is_ok());
        }
    });
}

fn main() {
    let mut bench = Bench::from_args();
    closed_and_healthy(&mut bench);
    open(&mut bench);
    peers(&mut bench);
    bench.finish();
}
