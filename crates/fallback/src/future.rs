use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_bedrock_core::{FaultKind, HasCompletion, HasDemand, HasFault, HasTarget, Target, clock};
use tower_service::Service;

use crate::{
    FallbackLayer, Responder, Rewrite, Unserved,
    hops::{Decision, Hops},
    journey::Journey,
};

pin_project! {
    /// The response of a [`Fallback`](crate::Fallback).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the hop that is under way. It holds nothing else.
    pub struct ResponseFuture<S, W, R, Request>
    where
        S: Service<Request>,
        R: Responder<Request, S::Response>,
    {
        service: S,
        hops: Hops<W, R, Request>,
        journey: Journey<S::Error>,
        // Where the hop in hand leads.
        target: Target,
        // When waiting for it ends, and the timer for that, once it has to be waited for.
        until: Option<Instant>,
        #[pin]
        timer: Option<Sleep>,
        #[pin]
        state: State<S::Future, R::Future, Request>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, A, Request> {
        // Decide on the next hop.
        Next,
        // A hop is decided on; the service has to be ready for it. `cancelled` is when the hop is; waiting ends
        // then, or at the call's deadline if that comes first.
        Waiting { request: Option<Request>, cancelled: Option<Instant> },
        // The hop is under way.
        Calling { #[pin] call: F },
        // No hop served the call; the responder is asked.
        Responding { #[pin] answer: A },
    }
}

impl<S, W, R, Request> ResponseFuture<S, W, R, Request>
where
    Request: HasTarget,
    S: Service<Request>,
    R: Responder<Request, S::Response>,
{
    pub(crate) fn new(service: S, layer: Arc<FallbackLayer<W, R>>, request: Request) -> Self {
        let hops = Hops::new(layer, request, R::ANSWERS);
        Self {
            target: hops.requested.clone(),
            service,
            hops,
            journey: Journey::new(),
            until: None,
            timer: None,
            state: State::Next,
        }
    }
}

impl<S, W, R, Request> Future for ResponseFuture<S, W, R, Request>
where
    Request: HasTarget + HasDemand + Clone,
    S: Service<Request> + Clone,
    S::Response: HasCompletion,
    S::Error: HasFault + From<Unserved>,
    W: Rewrite<Request>,
    R: Responder<Request, S::Response>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            // What the hop in hand has come to.
            let result = match this.state.as_mut().project() {
                StateProjection::Next => {
                    match this.hops.decide(clock::now()) {
                        Decision::PassOver(target, fault) => {
                            tracing::info!(bedrock.target = %target, %fault, "fallback: left out");
                            this.journey.passed_over(target, fault);
                        }
                        Decision::Refuse(target, fault) => {
                            tracing::info!(bedrock.target = %target, %fault, "fallback: not fit for it");
                            this.journey.refused(target, fault);
                        }
                        Decision::Try(target, request, cancelled) => {
                            *this.until = cancelled.into_iter().chain(this.hops.deadline).min();
                            this.timer.set(None);
                            *this.target = target;
                            this.state.set(State::Waiting {
                                request: Some(request),
                                cancelled,
                            });
                        }
                        Decision::Respond(request) => {
                            tracing::warn!(bedrock.target = %this.hops.requested, "fallback: asking for a degraded answer");
                            // An instance that was polled ready and not called may hold a permit. A clone
                            // of it does not.
                            let idle = this.service.clone();
                            *this.service = idle;
                            let answer = this.hops.layer.responder.respond(request);
                            this.state.set(State::Responding { answer });
                        }
                        Decision::GiveUp => {
                            return Poll::Ready(Err(take(this.journey).into_error()));
                        }
                    }
                    continue;
                }
                StateProjection::Waiting { request, cancelled } => {
                    let ready = match this.service.poll_ready(cx) {
                        Poll::Ready(Ok(())) => true,
                        // A service that failed so is not to be called again: only the responder is left.
                        Poll::Ready(Err(error)) => {
                            let fault = error.fault();
                            this.journey.unready(error);
                            if !(this.hops.layer.falls_through)(&fault) {
                                return Poll::Ready(Err(take(this.journey).into_error()));
                            }
                            this.hops.abandon();
                            this.timer.set(None);
                            this.state.set(State::Next);
                            continue;
                        }
                        Poll::Pending => false,
                    };
                    let start_by = *this.until;
                    let in_time = |start_by| clock::now() < start_by;
                    if ready && start_by.is_none_or(in_time) {
                        if let Some(request) = request.take() {
                            let call = this.service.call(request);
                            *this.until = *cancelled;
                            this.timer.set(None);
                            this.state.set(State::Calling { call });
                        }
                        continue;
                    }
                    if !ready {
                        ready!(poll_timer(this.timer.as_mut(), start_by, cx));
                    }
                    let kind = if start_by == *cancelled {
                        FaultKind::Timeout
                    } else {
                        FaultKind::DeadlineExceeded
                    };
                    tracing::warn!(bedrock.target = %this.target, "fallback: not ready in time");
                    this.journey.passed_over(this.target.clone(), kind.into());
                    this.state.set(State::Next);
                    continue;
                }
                StateProjection::Calling { call } => call.poll(cx),
                StateProjection::Responding { answer } => {
                    let answer = ready!(answer.poll(cx));
                    let journey = take(this.journey);
                    return Poll::Ready(match answer {
                        Some(response) => Ok(journey.into_degraded(response)),
                        None => Err(journey.into_error()),
                    });
                }
            };
            match result {
                Poll::Ready(Ok(response)) => {
                    let target = this.target.clone();
                    return Poll::Ready(Ok(take(this.journey).into_answer(response, target)));
                }
                Poll::Ready(Err(error)) if !this.hops.has_choice() => {
                    // Nothing of ours to add.
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Err(error)) => {
                    let fault = error.fault();
                    let is_alternative = *this.target != this.hops.requested;
                    if is_alternative && fault.kind().is_callers_mistake() {
                        // Not of a caller who asked for another model.
                        this.journey.declined(this.target.clone(), &error);
                        tracing::warn!(bedrock.target = %this.target, %fault, "fallback: declined");
                    } else {
                        this.journey.failed(this.target.clone(), error);
                        if !(this.hops.layer.falls_through)(&fault) {
                            return Poll::Ready(Err(take(this.journey).into_error()));
                        }
                        tracing::warn!(bedrock.target = %this.target, %fault, "fallback: failed");
                    }
                }
                Poll::Pending => {
                    ready!(poll_timer(this.timer.as_mut(), *this.until, cx));
                    tracing::warn!(bedrock.target = %this.target, "fallback: cancelled for being slow");
                    this.journey.cancelled(this.target.clone());
                }
            }
            this.timer.set(None);
            this.state.set(State::Next);
        }
    }
}

/// Made when it is first asked: most calls need none.
fn poll_timer(
    mut timer: Pin<&mut Option<Sleep>>,
    until: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(until) = until else {
        return Poll::Pending;
    };
    if timer.is_none() {
        timer.set(Some(sleep_until(until)));
    }
    if let Some(timer) = timer.as_pin_mut() {
        ready!(timer.poll(cx));
    }
    // It rang by a later reading than may have been shared.
    clock::read();
    Poll::Ready(())
}

fn take<E>(journey: &mut Journey<E>) -> Journey<E> {
    mem::replace(journey, Journey::new())
}

impl<S, W, R, Request> fmt::Debug for ResponseFuture<S, W, R, Request>
where
    S: Service<Request>,
    R: Responder<Request, S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("fallback::ResponseFuture")
            .field("target", &format_args!("{}", self.target))
            .finish_non_exhaustive()
    }
}
