//! What one call through a breaker costs, in time and in allocations, beside other circuit breakers.
//!
//! ```text
//! cargo bench -p tower-bedrock-breaker
//! ```
//!
//! The inner service answers at once and its request is a reference, so that nothing but the layer is
//! measured. `recloser` and `failsafe` are no Tower services: theirs is a call of a closure.

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::{Criterion, criterion_group, criterion_main};
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

fn send<S: Service<Request>>(service: &mut S, request: Request) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = black_box(service.poll_ready(&mut cx));
    let future = pin!(service.call(request));
    match future.poll(&mut cx) {
        Poll::Ready(result) => black_box(result).is_ok(),
        Poll::Pending => unreachable!("the inner service answers at once"),
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

/// Measures one call, its time by criterion and its allocations once beforehand.
fn measure(c: &mut Criterion, name: &str, mut call: impl FnMut()) {
    call();
    let allocations = allocation_counter::measure(&mut call).count_total;
    c.bench_function(&format!("{name} ({allocations} allocations)"), |b| {
        b.iter(&mut call);
    });
}

fn closed_and_healthy(c: &mut Criterion) {
    let request = target(514);

    let mut bare = Healthy;
    measure(c, "no layer", || {
        send(&mut bare, request);
    });

    let mut service = ours(CircuitBreakerLayer::builder());
    measure(c, "tower-bedrock", || {
        send(&mut service, request);
    });
    measure(c, "tower-bedrock, a clone for each call", || {
        send(&mut service.clone(), request);
    });

    let window = SlidingWindow::TimeBased(Duration::from_millis(20));
    let mut service = ours(CircuitBreakerLayer::builder().sliding_window(window));
    measure(c, "tower-bedrock, 20 ms time window", || {
        send(&mut service, request);
    });

    let mut service = ours(CircuitBreakerLayer::builder().slow_call_rate_threshold(100.0));
    measure(c, "tower-bedrock, slow calls watched", || {
        send(&mut service, request);
    });

    for targets in [10, 1_000] {
        let requests: Vec<Request> = (0..targets).map(target).collect();
        let mut service = ours(CircuitBreakerLayer::builder().max_keys(4_096));
        for request in &requests {
            send(&mut service, *request);
        }
        let mut next = requests.iter().cycle();
        measure(
            c,
            &format!("tower-bedrock, {targets} targets in turn"),
            || {
                send(&mut service, *next.next().expect("endless"));
            },
        );
    }
}

fn open(c: &mut Criterion) {
    let layer = CircuitBreakerLayer::builder()
        .build()
        .expect("settings in range");
    let mut service = layer.layer(Healthy);
    layer.handle().force_open_all();
    let request = target(514);
    measure(c, "tower-bedrock, open: turned away", || {
        assert!(!send(&mut service, request));
    });
}

fn peers(c: &mut Criterion) {
    let request = target(514);

    let mut service = tower_resilience_circuitbreaker::CircuitBreakerLayer::builder()
        .sliding_window_size(100)
        .build()
        .expect("settings in range")
        .layer(Healthy);
    measure(c, "tower-resilience", || {
        send(&mut service, request);
    });

    let recloser = recloser::Recloser::custom().build();
    measure(c, "recloser, no service", || {
        let result: Result<(), recloser::Error<()>> = recloser.call(|| black_box(Ok(())));
        assert!(result.is_ok());
    });

    let failsafe = failsafe::Config::new().build();
    measure(c, "failsafe, no service", || {
        use failsafe::CircuitBreaker as _;
        let result: Result<(), failsafe::Error<()>> = failsafe.call(|| black_box(Ok(())));
        assert!(result.is_ok());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = closed_and_healthy, open, peers
}
criterion_main!(benches);
