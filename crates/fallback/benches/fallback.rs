//! What the layer adds to a call that the first hop serves. No peer has a fallback layer of its own.
//!
//! ```text
//! cargo bench -p tower-bedrock-fallback
//! ```

#![allow(clippy::unwrap_used)]

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use bench_support::{Bench, call};
use tower::layer::util::Identity;
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

fn measure<S: Service<Request>>(
    bench: &mut Bench,
    name: &str,
    model: &str,
    layer: impl Layer<Leaf, Service = S>,
) {
    bench.case(name, || {
        let request = Invocation::new(Target::parse("us-east-1", model).unwrap(), "hello");
        let mut service = layer.layer(Leaf);
        move || call(&mut service, &request)
    });
}

fn main() {
    let mut bench = Bench::from_args();
    let elsewhere = Alternative::region("us-west-2".parse().unwrap());
    let chain = Chain::new(MODEL.parse().unwrap()).or(elsewhere);
    let layer = FallbackLayer::new([chain]).unwrap();
    let other = "amazon.nova-lite-v1:0";
    measure(&mut bench, "no layer", MODEL, Identity::new());
    let name = "tower-bedrock, the first hop serves";
    measure(&mut bench, name, MODEL, layer.clone());
    let name = "tower-bedrock, a model without a chain";
    measure(&mut bench, name, other, layer);
    bench.finish();
}
