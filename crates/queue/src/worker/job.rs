//! What becomes of one delivery.

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use bytes::Bytes;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tower_bedrock_core::{
    BoxError, Fault, HasDemand, HasFault, HasTarget, Headroom, Priority, Target,
};
use tower_service::Service;

use super::{
    run::{Call, LOOK_AGAIN, Phase, Run, Settled},
    trouble::Let,
};
use crate::{
    Cause, Codec, DeadLetter, Delivery, Message, Queue, Results, Verdict,
    verdict::{FIRST_DELAY, MAX_DELAY, concerns_all, delay},
};

/// What is to become of a delivery.
enum Outcome {
    Answered,
    Known,
    GiveBack { after: Duration, counted: bool },
    SetAside(DeadLetter),
}

/// Leases are renewed this often before they would run out: two renewals may fail.
const BEATS: u32 = 3;

/// How long a queue may take to be told of an outcome, and a store to take a result or to look for one.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The shortest time before a call is made again that something else stood in the way of.
const WAIT_DELAY: Duration = Duration::from_secs(2);

/// The longest time before a result is put again.
const MAX_PUT_DELAY: Duration = Duration::from_secs(10);

/// Turned away because the worker stops: by nothing of the message's own doing.
const STOPPED: Outcome = Outcome::GiveBack {
    after: Duration::ZERO,
    counted: false,
};

impl<Q, S, C, R, H> Run<'_, Q, S, C, R, H>
where
    Q: Queue,
    C: Codec,
    C::Request: HasTarget + HasDemand,
    C::Error: HasFault,
    S: Service<C::Request, Response = C::Response, Error = C::Error> + Clone,
    R: Results,
    H: Headroom,
{
    pub(super) async fn job(&self, delivery: Delivery<Q::Receipt>) -> Settled {
        let Delivery {
            message,
            receipt,
            attempts,
        } = delivery;
        let outcome = self.renewing(&receipt, self.work(&message, attempts)).await;
        let queue = &self.worker.queue;
        match outcome {
            Outcome::Answered => {
                settle("complete", queue.complete(receipt)).await;
                Settled::Answered
            }
            Outcome::Known => {
                settle("complete", queue.complete(receipt)).await;
                Settled::Known
            }
            Outcome::GiveBack { after, counted } => {
                settle("give back", queue.give_back(receipt, after, counted)).await;
                Settled::GivenBack
            }
            Outcome::SetAside(why) => {
                tracing::warn!(
                    cause = why.cause.as_str(),
                    attempts = why.attempts,
                    "a message is set aside"
                );
                settle("set aside", queue.dead_letter(receipt, message, why)).await;
                Settled::SetAside
            }
        }
    }

    /// Renews a lease while work is done.
    async fn renewing<T>(&self, receipt: &Q::Receipt, work: impl Future<Output = T>) -> T {
        let beat = self.worker.settings.visibility / BEATS;
        let mut beats = interval_at(Instant::now() + beat, beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = beats.tick() => {}
            }
            let mut renewal = pin!(self.renew(receipt, beat));
            tokio::select! {
                biased;
                done = &mut work => {
                    // One that reached the queue after what comes next would take it back.
                    renewal.await;
                    return done;
                }
                () = &mut renewal => {}
            }
        }
    }

    /// Renews a lease once. What does not come back in time must not keep the next from being made.
    async fn renew(&self, receipt: &Q::Receipt, time: Duration) {
        let visibility = self.worker.settings.visibility;
        // The end of a job waits for it.
        let time = time.min(SETTLE_TIMEOUT);
        match timeout(time, self.worker.queue.extend(receipt, visibility)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error: BoxError = error.into();
                tracing::warn!(%error, "a lease cannot be renewed");
            }
            Err(_) => tracing::warn!("the queue did not renew a lease in time"),
        }
    }

    async fn work(&self, message: &Message, attempts: u32) -> Outcome {
        let worker = self.worker;
        let known = tokio::select! {
            biased;
            known = self.is_known(message) => known,
            () = self.reached(Phase::Draining) => return STOPPED,
        };
        match known {
            Some(true) => return Outcome::Known,
            Some(false) => {}
            None => {
                let after = delay(attempts, None);
                let counted = false;
                return Outcome::GiveBack { after, counted };
            }
        }
        if attempts > worker.settings.max_attempts {
            // This one was not made.
            let made = attempts - 1;
            return Outcome::SetAside(DeadLetter::new(Cause::Abandoned, made));
        }
        let unreadable = || Outcome::SetAside(DeadLetter::new(Cause::Unreadable, attempts));
        let Ok(mut request) = worker.codec.request(message) else {
            return unreadable();
        };
        if let Some(context) = request.context_mut() {
            *context = std::mem::take(context).with_priority(Priority::Batch);
        }
        let target = request.target().clone();
        let call = match self.hold(&request).await {
            Ok(call) => call,
            Err(after) => {
                let counted = false;
                return Outcome::GiveBack { after, counted };
            }
        };
        let answered = async {
            match self.call(request).await {
                Ok(response) => Ok(worker.codec.result(message, response).await),
                Err(error) => Err((error.fault(), worker.codec.detail(error))),
            }
        };
        let answered = tokio::select! {
            biased;
            answered = answered => answered,
            () = self.reached(Phase::Stopping) => return STOPPED,
        };
        let failed = |fault: Fault, detail| {
            let verdict = (worker.settings.verdict)(&fault);
            match verdict {
                Verdict::Wait if concerns_all(fault.kind()) => {
                    self.turned_away(&target, call, fault.kind());
                }
                // Bedrock looked at it, and so it does at others.
                Verdict::SetAside => self.answered(&target),
                _ => {}
            }
            self.failed(&fault, verdict, &target, attempts, detail)
        };
        match answered {
            Ok(Ok(result)) => {
                self.answered(&target);
                self.put(message.key(), result).await
            }
            Ok(Err(error)) => match Fault::find(error.as_ref()) {
                Some(fault) => failed(fault, None),
                None => unreadable(),
            },
            Err((fault, detail)) => failed(fault, detail),
        }
    }

    /// Whether a message's result is known; `None` where that cannot be found out.
    async fn is_known(&self, message: &Message) -> Option<bool> {
        let has = self.worker.results.has(message.key());
        match timeout(SETTLE_TIMEOUT, has).await {
            Ok(Ok(known)) => Some(known),
            Ok(Err(error)) => {
                let error: BoxError = error.into();
                tracing::warn!(%error, "the results cannot be looked up");
                None
            }
            Err(_) => {
                tracing::warn!("the store of results did not answer in time");
                None
            }
        }
    }

    /// Waits until there is headroom for a request; or answers how long it is to wait in the queue instead.
    async fn hold(&self, request: &C::Request) -> Result<Let, Duration> {
        let call = Call {
            target: request.target().clone(),
            demand: request.demand(),
            context: request.context().clone(),
        };
        let until = Instant::now() + self.worker.settings.max_hold;
        loop {
            if self.has_reached(Phase::Ending) {
                self.reached(Phase::Draining).await;
                return Err(Duration::ZERO);
            }
            let wait = self.time_to_serve(&call);
            if wait.is_zero() {
                let let_out = self.let_out(&call.target);
                self.served_at_once(call);
                return Ok(let_out);
            }
            // No wait would help. A fallback may, or the service says what is wrong.
            if wait == Duration::MAX {
                return Ok(self.let_out(&call.target));
            }
            let left = until.saturating_duration_since(Instant::now());
            if wait > left {
                return Err(wait.clamp(FIRST_DELAY, MAX_DELAY));
            }
            tokio::select! {
                () = self.reached(Phase::Ending) => {}
                () = sleep(wait.min(LOOK_AGAIN)) => {}
            }
        }
    }

    async fn call(&self, request: C::Request) -> Result<C::Response, C::Error> {
        let mut service = self.worker.service.clone();
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    }

    fn failed(
        &self,
        fault: &Fault,
        verdict: Verdict,
        target: &Target,
        attempts: u32,
        detail: Option<Bytes>,
    ) -> Outcome {
        let last = attempts >= self.worker.settings.max_attempts;
        match verdict {
            Verdict::Wait => Outcome::GiveBack {
                after: delay(1, Some(fault))
                    .max(WAIT_DELAY)
                    .max(self.paused(target)),
                counted: false,
            },
            Verdict::Attempt if !last => Outcome::GiveBack {
                after: delay(attempts, Some(fault)),
                counted: true,
            },
            Verdict::Attempt | Verdict::SetAside => {
                let why = DeadLetter::new(Cause::Fault(fault.kind()), attempts);
                Outcome::SetAside(why.with_detail(detail))
            }
        }
    }

    /// Puts a result, as often as it takes. Meanwhile the message keeps its place, so that a store that fails
    /// stops the line and not the money.
    async fn put(&self, key: &str, result: Bytes) -> Outcome {
        let mut delay = Duration::from_millis(100);
        loop {
            let put = self.worker.results.put(key, result.clone());
            match timeout(SETTLE_TIMEOUT, put).await {
                Ok(Ok(())) => return Outcome::Answered,
                Ok(Err(error)) => {
                    let error: BoxError = error.into();
                    tracing::warn!(%error, "a result cannot be kept");
                }
                Err(_) => tracing::warn!("the store of results did not answer in time"),
            }
            if self.has_reached(Phase::Stopping) {
                return STOPPED;
            }
            tokio::select! {
                () = self.reached(Phase::Stopping) => {}
                () = sleep(delay) => {}
            }
            delay = (delay * 2).min(MAX_PUT_DELAY);
        }
    }
}

/// Tells a queue of an outcome. Where that fails the lease runs out, and the message comes again.
async fn settle<E: Into<BoxError>>(what: &str, told: impl Future<Output = Result<(), E>>) {
    match timeout(SETTLE_TIMEOUT, told).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error: BoxError = error.into();
            tracing::warn!(%error, what, "the queue cannot be told of an outcome");
        }
        Err(_) => tracing::warn!(what, "the queue did not answer in time"),
    }
}
