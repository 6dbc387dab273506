//! What the tests share: calls, a layer around them, and a scripted service.

use std::{
    fmt::Debug,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use tower::{Service, ServiceExt, service_fn};
use tower_bedrock_cache::{CacheLayer, Key, Observer};
use tower_bedrock_core::{
    Answer, BoxError, Fault, FaultKind, HasTarget, Invocation, Target, TokenUsage,
};

pub(crate) type Call = Invocation<&'static str>;
pub(crate) type Response = Answer<String>;

pub(crate) fn call(prompt: &'static str) -> Call {
    Invocation::new(
        Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap(),
        prompt,
    )
}

pub(crate) fn key(call: &Call) -> Option<Key> {
    // A request may forbid it.
    (*call.input() != "secret").then(|| Key::of(call, "Converse", call.input().as_bytes()))
}

pub(crate) type KeyOf = fn(&Call) -> Option<Key>;
pub(crate) type BytesOf = fn(&String) -> usize;
pub(crate) type Layer = CacheLayer<KeyOf, BytesOf, String>;
pub(crate) type Builder = tower_bedrock_cache::Builder<KeyOf, BytesOf>;

pub(crate) fn builder() -> Builder {
    Layer::builder(key as KeyOf, String::len as BytesOf)
}

pub(crate) fn layer(builder: Builder) -> Layer {
    builder.build().unwrap()
}

/// Makes a call when the service is ready for it.
pub(crate) async fn ask<S>(service: &mut S, call: Call) -> Result<S::Response, S::Error>
where
    S: Service<Call, Error: Debug>,
{
    service.ready().await.unwrap().call(call).await
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Takes down what it is told.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Told>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Hit(Duration),
    Shared,
    Missed,
    StoodIn(Duration, Option<FaultKind>),
}

impl Log {
    /// What it was told since it was last asked.
    pub(crate) fn told(&self) -> Vec<Told> {
        mem::take(&mut *self.0.lock().unwrap())
    }

    fn push(&self, target: &Target, told: Told) {
        assert_eq!(target, call("").target());
        self.0.lock().unwrap().push(told);
    }
}

impl Observer for Log {
    fn hit(&self, target: &Target, age: Duration) {
        self.push(target, Told::Hit(age));
    }

    fn shared(&self, target: &Target) {
        self.push(target, Told::Shared);
    }

    fn missed(&self, target: &Target) {
        self.push(target, Told::Missed);
    }

    fn stood_in(&self, target: &Target, age: Duration, fault: Option<Fault>) {
        let kind = fault.map(|fault| fault.kind());
        self.push(target, Told::StoodIn(age, kind));
    }
}

/// Answers with the number of the call, and fails from the given one on.
#[derive(Clone)]
pub(crate) struct Script {
    calls: Arc<AtomicU32>,
    fails_from: u32,
    with: FaultKind,
}

impl Script {
    pub(crate) fn new(fails_from: u32, with: FaultKind) -> Self {
        Self {
            calls: Arc::default(),
            fails_from,
            with,
        }
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<Call, Response = Response, Error = BoxError, Future: Send> + Clone + use<>
    {
        let Self {
            calls,
            fails_from,
            with,
        } = self.clone();
        service_fn(move |_: Call| {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(secs(1)).await;
                if number >= fails_from {
                    return Err(BoxError::from(Fault::new(with)));
                }
                let usage = TokenUsage {
                    input: 1,
                    output: 1,
                    ..TokenUsage::default()
                };
                Ok(Answer::new(format!("answer {number}")).with_usage(usage))
            }
        })
    }
}
