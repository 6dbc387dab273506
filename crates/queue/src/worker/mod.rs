mod builder;
mod job;
mod run;
mod trouble;

use tokio::time::Duration;
use tower_bedrock_core::{Fault, HasDemand, HasFault, HasTarget, Headroom};
use tower_service::Service;

pub use self::builder::{InvalidConfig, WorkerBuilder};
use self::run::Run;
use crate::{Codec, Queue, Results, Verdict};

/// Takes work from a queue when the service has headroom for it, has it answered, and keeps the results.
///
/// [The crate's documentation](crate) begins with one at work. A worker is a future: spawn it, or await it beside
/// something else. It runs in one task; where one is not enough, run clones.
///
/// # What it does with a message
///
/// 1. One whose result is known is completed.
/// 2. The codec makes a request of it, which goes out in the lowest [`Priority`](tower_bedrock_core::Priority).
/// 3. It is held until the headroom has room for it now, for at most `max_hold`.
/// 4. The service is called, and the lease renewed at every third of `visibility` while that runs.
/// 5. The result is put into the store, as often as it takes: a paid answer is not thrown away. Then the message is
///    completed.
/// 6. A fault is judged by its [`Verdict`]: the message is set aside, tried again after a delay that doubles from
///    one second to five minutes, or waits its turn uncounted. After `max_attempts` it is set aside.
///
/// A target that turns calls away whatever they are (missing rights, no connection, an open circuit) is paused: one
/// call at a time goes out to it, at intervals that double from one second to thirty, until one is answered. Both ends
/// of that are logged, and not the calls in between. Others' calls go on meanwhile.
///
/// # Clone
///
/// Clones share what the queue, the service, the store and the headroom share.
#[derive(Clone, Debug)]
pub struct Worker<Q, S, C, R = (), H = ()> {
    queue: Q,
    service: S,
    codec: C,
    results: R,
    headroom: H,
    settings: Settings,
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Messages that were answered.
    pub answered: u64,
    /// Messages that were completed because their result was known.
    pub known: u64,
    /// Messages that were set aside.
    pub set_aside: u64,
    /// Deliveries that were given back: faults to be tried again, messages there was no headroom for, and those
    /// that were held when the worker was stopped.
    pub given_back: u64,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    leave: Leave,
    concurrency: usize,
    visibility: Duration,
    max_attempts: u32,
    max_hold: Duration,
    drain: Duration,
    verdict: fn(&Fault) -> Verdict,
}

/// What is left of a quota to others.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Tokens(u64),
    /// Of every limit, where those are known.
    Share(f64),
}

impl Settings {
    const DEFAULT: Self = Self {
        leave: Leave::Share(0.25),
        concurrency: 16,
        visibility: Duration::from_secs(60),
        max_attempts: 5,
        max_hold: Duration::from_secs(30),
        drain: Duration::ZERO,
        verdict: Verdict::of,
    };
}

impl<Q, S, C> Worker<Q, S, C> {
    /// Builds a worker that takes from `queue`, calls `service`, and translates by `codec`.
    pub const fn builder(queue: Q, service: S, codec: C) -> WorkerBuilder<Q, S, C> {
        WorkerBuilder::new(queue, service, codec)
    }
}

impl<Q, S, C, R, H> Worker<Q, S, C, R, H>
where
    Q: Queue,
    C: Codec,
    C::Request: HasTarget + HasDemand,
    C::Error: HasFault,
    S: Service<C::Request, Response = C::Response, Error = C::Error> + Clone,
    R: Results,
    H: Headroom,
{
    /// Works until `stop` completes. Then nothing more is taken, what has not been called for goes back at once,
    /// and calls under way end or, after `drain`, are dropped and their messages given back.
    ///
    /// While there is no headroom for the like of the latest call, nothing is taken but one message every
    /// `max_hold`, in case that it is for another target.
    ///
    /// Queues that cannot be reached are tried again, at longer and longer intervals, and logged.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the calls under way; their messages come back when their leases run out.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Report {
        Run::new(&self).until(stop).await
    }
}
