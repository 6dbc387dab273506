//! What the layer adds to a call that the first hop serves. No peer has a fallback layer of its own.
//!
//! ```text
//! cargo bench -p tower-bedrock-fallback
//! ```

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use criterion::{Criterion, criterion_group, criterion_main};
use tower_bedrock_core::{Answer, BoxError, Invocation, Target};
use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer};
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
        ready(Ok(Answer::new("hello")))
    }
}

fn call<S: Service<Request>>(service: &mut S, request: &Request) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let call = pin!(service.call(request.clone()));
    assert!(black_box(call.poll(&mut cx)).is_ready());
}

fn measure<S: Service<Request>>(
    criterion: &mut Criterion,
    name: &str,
    request: &Request,
    mut service: S,
) {
    let counted = allocation_counter::measure(|| call(&mut service, request));
    let name = format!("{name} ({} allocations)", counted.count_total);
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| call(&mut service, request))
    });
}

fn first_hop_serves(criterion: &mut Criterion) {
    let layer = || -> Result<_, BoxError> {
        let chain = Chain::new(MODEL.parse()?).or(Alternative::region("us-west-2".parse()?));
        let request = Invocation::new(Target::parse("us-east-1", MODEL)?, "hello");
        let other = Invocation::new(
            Target::parse("us-east-1", "amazon.nova-lite-v1:0")?,
            "hello",
        );
        Ok((FallbackLayer::new([chain])?, request, other))
    };
    let Ok((layer, request, other)) = layer() else {
        return;
    };
    measure(criterion, "no layer", &request, Leaf);
    measure(
        criterion,
        "tower-bedrock, the first hop serves",
        &request,
        layer.layer(Leaf),
    );
    measure(
        criterion,
        "tower-bedrock, a model without a chain",
        &other,
        layer.layer(Leaf),
    );
}

criterion_group!(benches, first_hop_serves);
criterion_main!(benches);
