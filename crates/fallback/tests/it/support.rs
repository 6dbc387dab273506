//! A scripted service, and a chain of three models.

use std::sync::{Arc, Mutex};

use tower::{Service, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Demand, Fault, FaultKind, HasTarget, Hop, Invocation, Target,
};
use tower_bedrock_fallback::{Alternative, Chain};

pub(crate) type Call = Invocation<&'static str>;
pub(crate) type Reply = Result<Answer<&'static str>, BoxError>;

pub(crate) const PRIMARY: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
pub(crate) const SECOND: &str = "us.amazon.nova-pro-v1:0";
pub(crate) const THIRD: &str = "us.amazon.nova-lite-v1:0";

pub(crate) fn target(model: &str) -> Target {
    Target::parse("us-east-1", model).unwrap()
}

pub(crate) fn call() -> Call {
    Invocation::new(target(PRIMARY), "hello").with_demand(Demand::new(10))
}

pub(crate) fn chain() -> Chain {
    Chain::new(PRIMARY.parse().unwrap())
        .or(Alternative::model(SECOND.parse().unwrap()))
        .or(Alternative::model(THIRD.parse().unwrap()))
}

/// Answers by the model that is called, and keeps the targets it was called with.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) seen: Arc<Mutex<Vec<Target>>>,
    reply: fn(&Target) -> Reply,
}

impl Script {
    pub(crate) fn new(reply: fn(&Target) -> Reply) -> Self {
        Self {
            seen: Arc::default(),
            reply,
        }
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<Call, Response = Answer<&'static str>, Error = BoxError, Future: Send> + Clone
    {
        let Self { seen, reply } = self.clone();
        service_fn(move |call: Call| {
            seen.lock().unwrap().push(call.target().clone());
            std::future::ready(reply(call.target()))
        })
    }

    pub(crate) fn models(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|target| target.model().to_string())
            .collect()
    }
}

pub(crate) fn fail(kind: FaultKind) -> Reply {
    Err(Fault::new(kind).into())
}

pub(crate) fn hop(model: &str, kind: FaultKind, attempts: u32) -> Hop {
    Hop::new(target(model), kind.into(), attempts)
}

/// Calls it when it is dropped, unless told otherwise.
pub(crate) struct OnDrop<F: FnOnce()>(pub(crate) Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn defuse(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}
