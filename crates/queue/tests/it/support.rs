//! A service that does what its prompts say, and a worker around it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::time::{Duration, sleep};
use tower::util::BoxCloneSyncService;
use tower_bedrock_core::{
    Answer, BoxError, Context, Demand, Fault, FaultKind, HasTarget, Headroom, Invocation, Priority,
    Target,
};
use tower_bedrock_queue::{
    CodecFn, MemoryQueue, Message, Queue as _, Worker, WorkerBuilder, codec_fn,
};

pub(crate) type Call = Invocation<String>;
pub(crate) type Service = BoxCloneSyncService<Call, Answer<String>, BoxError>;
pub(crate) type Codec = CodecFn<
    fn(&Message) -> Result<Call, BoxError>,
    fn(Answer<String>) -> Result<bytes::Bytes, BoxError>,
    Call,
    Answer<String>,
    BoxError,
>;

/// What the service was asked, in the order it was.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub(crate) fn times(&self, prompt: &str) -> usize {
        self.0
            .lock()
            .iter()
            .filter(|asked| *asked == prompt)
            .count()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

pub(crate) fn target() -> Target {
    Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap()
}

/// Answers a prompt after a second with the same in capitals, unless it is the name of a fault, or `for N s`.
pub(crate) fn service(asked: &Asked) -> Service {
    let asked = asked.clone();
    BoxCloneSyncService::new(tower::service_fn(move |call: Call| {
        assert_eq!(call.context().priority(), Priority::Batch);
        let prompt = call.into_input();
        asked.0.lock().push(prompt.clone());
        async move {
            let secs = prompt
                .strip_prefix("for ")
                .and_then(|rest| rest.strip_suffix(" s"))
                .map_or(1, |secs| secs.parse().unwrap());
            sleep(Duration::from_secs(secs)).await;
            match FaultKind::ALL.iter().find(|kind| kind.as_str() == prompt) {
                Some(kind) => Err(Fault::new(*kind).into()),
                None => Ok(Answer::new(prompt.to_uppercase())),
            }
        }
    }))
}

pub(crate) fn codec() -> Codec {
    codec_fn(
        |message: &Message| {
            let prompt = String::from_utf8(message.body().to_vec())?;
            let demand = Demand::new(100).with_max_output_tokens(200);
            Ok(Invocation::new(target(), prompt).with_demand(demand))
        },
        |answer: Answer<String>| Ok(answer.into_output().into()),
    )
}

pub(crate) fn worker(
    queue: &MemoryQueue,
    asked: &Asked,
) -> WorkerBuilder<MemoryQueue, Service, Codec, MemoryQueue> {
    Worker::builder(queue.clone(), service(asked), codec()).results(queue.clone())
}

/// A queue of messages whose keys are their bodies.
pub(crate) fn queue_of(bodies: impl IntoIterator<Item = impl Into<String>>) -> MemoryQueue {
    let queue = MemoryQueue::new();
    for body in bodies {
        let body = body.into();
        queue.send(Message::new(body.clone(), body));
    }
    queue
}

/// The attempts that the next message was received for, this one included.
pub(crate) async fn attempts_of_next(queue: &MemoryQueue) -> u32 {
    let deliveries = queue.receive(1, Duration::from_secs(60)).await.unwrap();
    deliveries[0].attempts
}

/// Says what it is told to say, and how often it was asked for what.
#[derive(Clone, Default)]
pub(crate) struct Told {
    wait: Arc<Mutex<Duration>>,
    asked: Arc<AtomicUsize>,
    demand: Arc<Mutex<Option<Demand>>>,
}

impl Told {
    pub(crate) fn tell(&self, wait: Duration) {
        *self.wait.lock() = wait;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn demand(&self) -> Option<Demand> {
        *self.demand.lock()
    }
}

impl Headroom for Told {
    fn time_to_serve(&self, _: &Target, demand: &Demand, context: &Context) -> Duration {
        assert_eq!(context.priority(), Priority::Batch);
        self.asked.fetch_add(1, Ordering::Relaxed);
        *self.demand.lock() = Some(*demand);
        *self.wait.lock()
    }
}
