//! Taking: how much, and when.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep, timeout, timeout_at},
};
use tower_bedrock_core::{
    BoxError, Context, Demand, FaultKind, HasDemand, HasFault, HasTarget, Headroom, Target,
};
use tower_service::Service;

use super::{
    Leave, Report, Worker,
    trouble::{Let, Troubles},
};
use crate::{Codec, Delivery, Queue, Results};

/// One run of a worker.
pub(super) struct Run<'w, Q, S, C, R, H> {
    pub(super) worker: &'w Worker<Q, S, C, R, H>,
    phase: watch::Sender<Phase>,
    /// The latest call there was headroom for: what the next one is expected to be like.
    typical: Mutex<Option<Call>>,
    troubles: Mutex<Troubles>,
    /// Whether it was said that not all can be left that is to be.
    warned: AtomicBool,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Working,
    /// Nothing more is called for. What waits for that is kept, so that a receipt under way does not take it again.
    Ending,
    /// What has not been called for goes back.
    Draining,
    /// So do the messages of calls under way.
    Stopping,
}

/// What a headroom is asked about.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) target: Target,
    pub(super) demand: Demand,
    pub(super) context: Context,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Answered,
    Known,
    SetAside,
    GivenBack,
}

/// How often a headroom is asked again: what people use changes, and so does what is forecast.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Between two receipts of nothing, in case that the queue does not wait by itself.
const IDLE: Duration = Duration::from_millis(100);

/// How long a receipt that is under way when the worker is stopped may take to end. A queue that polls has nothing by
/// then, or has leased what nobody would know of.
const LAST_RECEIPT: Duration = Duration::from_millis(250);

/// The longest time before a queue that fails is asked again.
const MAX_RECONNECT: Duration = Duration::from_secs(30);

impl<'w, Q, S, C, R, H> Run<'w, Q, S, C, R, H>
where
    Q: Queue,
    C: Codec,
    C::Request: HasTarget + HasDemand,
    C::Error: HasFault,
    S: Service<C::Request, Response = C::Response, Error = C::Error> + Clone,
    R: Results,
    H: Headroom,
{
    pub(super) fn new(worker: &'w Worker<Q, S, C, R, H>) -> Self {
        Self {
            worker,
            phase: watch::Sender::new(Phase::Working),
            typical: Mutex::new(None),
            troubles: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    pub(super) async fn until(self, stop: impl Future<Output = ()>) -> Report {
        let settings = &self.worker.settings;
        let mut report = Report::default();
        let mut jobs = FuturesUnordered::new();
        let mut taking = None;
        {
            let mut stop = pin!(stop);
            loop {
                let free = settings.concurrency.saturating_sub(jobs.len());
                if taking.is_none() && free > 0 {
                    taking = Some(Box::pin(self.take(free)));
                }
                let taken = async {
                    match &mut taking {
                        Some(taking) => taking.await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    Some(settled) = jobs.next() => report.count(settled),
                    deliveries = taken => {
                        taking = None;
                        jobs.extend(deliveries.into_iter().map(|delivery| self.job(delivery)));
                    }
                }
            }
        }
        self.phase.send_replace(Phase::Ending);
        // A deadline that is too far to be told is none.
        let deadline = Instant::now().checked_add(settings.drain);
        // What the queue has leased already must not wait for its lease to run out.
        if let Some(taking) = taking {
            let mut last = pin!(timeout(LAST_RECEIPT, taking));
            loop {
                tokio::select! {
                    biased;
                    Some(settled) = jobs.next() => report.count(settled),
                    deliveries = &mut last => {
                        let deliveries = deliveries.unwrap_or_default().into_iter();
                        jobs.extend(deliveries.map(|delivery| self.job(delivery)));
                        break;
                    }
                }
            }
        }
        self.phase.send_replace(Phase::Draining);
        let drained = async {
            while let Some(settled) = jobs.next().await {
                report.count(settled);
            }
        };
        let finished = match deadline {
            Some(deadline) => timeout_at(deadline, drained).await.is_ok(),
            None => {
                drained.await;
                true
            }
        };
        if !finished {
            self.phase.send_replace(Phase::Stopping);
            while let Some(settled) = jobs.next().await {
                report.count(settled);
            }
        }
        report
    }

    /// Takes messages once there is headroom for the like of the latest call.
    async fn take(&self, max: usize) -> Vec<Delivery<Q::Receipt>> {
        let mut reconnect = IDLE;
        loop {
            let max = tokio::select! {
                biased;
                () = self.reached(Phase::Ending) => return Vec::new(),
                room = self.room() => if room { max } else { 1 },
            };
            let visibility = self.worker.settings.visibility;
            let pause = match self.worker.queue.receive(max, visibility).await {
                Ok(deliveries) if !deliveries.is_empty() => return deliveries,
                Ok(_) => {
                    reconnect = IDLE;
                    IDLE
                }
                Err(error) => {
                    let error: BoxError = error.into();
                    tracing::warn!(%error, "the queue cannot be received from");
                    reconnect = (reconnect * 2).min(MAX_RECONNECT);
                    reconnect
                }
            };
            tokio::select! {
                () = self.reached(Phase::Ending) => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Waits for room for the like of the latest call. Answers `false` where there was none for so long that another
    /// message may be worth a look: it may be for another target, whose quota is not used up.
    async fn room(&self) -> bool {
        let until = Instant::now() + self.worker.settings.max_hold.max(LOOK_AGAIN);
        loop {
            let typical = self.typical.lock().clone();
            let wait = typical.map_or(Duration::ZERO, |call| self.time_to_serve(&call));
            // What no wait would help may be what changed since that call: the next one is to find out.
            if wait.is_zero() || wait == Duration::MAX {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            sleep(wait.min(LOOK_AGAIN)).await;
        }
    }

    /// How long a call would wait; `Duration::MAX` where it would be served never.
    pub(super) fn time_to_serve(&self, call: &Call) -> Duration {
        let paused = self.paused(&call.target);
        if paused.is_zero() {
            self.time_to_fit(call)
        } else {
            paused
        }
    }

    /// How long a target is paused for.
    pub(super) fn paused(&self, target: &Target) -> Duration {
        self.troubles.lock().wait(target, Instant::now())
    }

    /// How long a call would wait that leaves to others what is theirs. A limit that is too low for both has half of
    /// that left, or a quarter, or what it has room for; `Duration::MAX` is for a call that does not fit by itself.
    fn time_to_fit(&self, call: &Call) -> Duration {
        let Call {
            target,
            demand,
            context,
        } = call;
        let headroom = &self.worker.headroom;
        // Where only a part is left of what is to be.
        let wait = |part: f64| match self.worker.settings.leave {
            Leave::Share(share) => {
                headroom.time_to_serve_leaving(share * part, target, demand, context)
            }
            Leave::Tokens(tokens) => {
                let demand = leaving(*demand, (tokens as f64 * part) as u64);
                headroom.time_to_serve(target, &demand, context)
            }
        };
        let all = wait(1.0);
        if all < Duration::MAX || wait(0.0) == Duration::MAX {
            return all;
        }
        let halves = std::iter::successors(Some(0.5), |part| Some(part / 2.0)).take(64);
        let fits = halves
            .map(|part| (part, wait(part)))
            .find(|(_, wait)| *wait < Duration::MAX);
        let (part, wait) = fits.unwrap_or_else(|| (0.0, wait(0.0)));
        if !self.warned.swap(true, Relaxed) {
            tracing::warn!(
                part,
                model = %target,
                "a limit is too low for a call and what is to be left of it: only a part of that is left"
            );
        }
        wait
    }

    /// Takes note of a call that goes out.
    pub(super) fn let_out(&self, target: &Target) -> Let {
        self.troubles.lock().let_out(target, Instant::now())
    }

    /// Takes note of a call that was turned away as any other would have been.
    pub(super) fn turned_away(&self, target: &Target, call: Let, fault: FaultKind) {
        let now = Instant::now();
        if self.troubles.lock().turned_away(target, call, now) {
            let fault = fault.as_str();
            tracing::warn!(fault, model = %target, "calls are turned away: messages wait");
        }
    }

    /// Takes note of a call that was answered.
    pub(super) fn answered(&self, target: &Target) {
        if self.troubles.lock().answered(target) {
            tracing::info!(model = %target, "calls are answered again");
        }
    }

    /// Takes note of a call that there was headroom for.
    pub(super) fn served_at_once(&self, mut call: Call) {
        // The next one has a deadline of its own, if any.
        let mut timeless = Context::new()
            .with_priority(call.context.priority())
            .with_streaming(call.context.is_streaming());
        if let Some(tenant) = call.context.tenant() {
            timeless = timeless.with_tenant(tenant.clone());
        }
        call.context = timeless;
        *self.typical.lock() = Some(call);
    }

    pub(super) fn has_reached(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase
    }

    /// Waits for a phase, or one after it.
    pub(super) async fn reached(&self, phase: Phase) {
        // The sender is `self`, so there is one.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }
}

/// A demand and so many tokens on top: on the output where that is bounded. Where it is not, on the input, and without
/// the content, which a quota may estimate it from instead.
const fn leaving(demand: Demand, tokens: u64) -> Demand {
    match demand.max_output_tokens() {
        _ if tokens == 0 => demand,
        Some(output) => demand.with_max_output_tokens(output.saturating_add(tokens)),
        None => Demand::new(demand.input_tokens().saturating_add(tokens)),
    }
}

impl Report {
    const fn count(&mut self, settled: Settled) {
        match settled {
            Settled::Answered => self.answered += 1,
            Settled::Known => self.known += 1,
            Settled::SetAside => self.set_aside += 1,
            Settled::GivenBack => self.given_back += 1,
        }
    }
}
