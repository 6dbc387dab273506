use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_bedrock_core::{GaveUp, HasCompletion, HasFault, HasTarget};
use tower_service::Service;

use crate::{
    Decision, Observer,
    call::{Call, NoAttempt},
};

pin_project! {
    /// The future of [`Retry`](crate::Retry).
    ///
    /// # Cancel safety
    ///
    /// Dropped between two attempts, it gives the retry's token back to the budget. Dropped in the middle
    /// of one, that attempt is dropped with it, and its token stays spent: the target has had the call.
    pub struct ResponseFuture<S, Req, O>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S::Future>,
        call: Call<S, Req, O>,
        // Of the latest attempt, while the next one waits: it is the answer if there is no next one.
        error: Option<S::Error>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Attempt { #[pin] attempt: F },
        Backoff { #[pin] sleep: Sleep },
        // The delay is over, the inner service is not ready yet. `too_late` fires when it no longer
        // matters whether it is.
        Readiness { #[pin] too_late: Option<Sleep> },
    }
}

impl<S, Req, O> ResponseFuture<S, Req, O>
where
    S: Service<Req>,
{
    #[inline]
    pub(crate) const fn new(call: Call<S, Req, O>, attempt: S::Future) -> Self {
        Self {
            state: State::Attempt { attempt },
            call,
            error: None,
        }
    }
}

impl<S, Req, O> Future for ResponseFuture<S, Req, O>
where
    S: Service<Req>,
    S::Response: HasCompletion,
    S::Error: HasFault,
    Req: HasTarget + Clone,
    O: Observer,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Attempt { attempt } => {
                    let error = match ready!(attempt.poll(cx)) {
                        Ok(mut response) => {
                            this.call.answered(&mut response);
                            return Poll::Ready(Ok(response));
                        }
                        Err(error) => error,
                    };
                    match this.call.attempt_failed(&error) {
                        Decision::RetryIn(delay) => {
                            *this.error = Some(error);
                            if delay.is_zero() {
                                State::readiness(this.call)
                            } else {
                                State::Backoff {
                                    sleep: tokio::time::sleep(delay),
                                }
                            }
                        }
                        Decision::GiveUp(why) => {
                            return Poll::Ready(Err(this.call.finish(error, Some(why))));
                        }
                        Decision::Stop => {
                            return Poll::Ready(Err(this.call.finish(error, None)));
                        }
                    }
                }
                StateProj::Backoff { sleep } => {
                    ready!(sleep.poll(cx));
                    State::readiness(this.call)
                }
                StateProj::Readiness { too_late } => {
                    let why = match this.call.poll_attempt(cx) {
                        Poll::Ready(Ok(attempt)) => {
                            *this.error = None;
                            this.state.set(State::Attempt { attempt });
                            continue;
                        }
                        Poll::Ready(Err(NoAttempt::Error(error))) => {
                            return Poll::Ready(Err(this.call.finish(error, None)));
                        }
                        Poll::Ready(Err(NoAttempt::GaveUp(why))) => why,
                        Poll::Pending => {
                            let Some(too_late) = too_late.as_pin_mut() else {
                                return Poll::Pending;
                            };
                            ready!(too_late.poll(cx));
                            let left = this.call.time_left();
                            left.map_or(GaveUp::Deadline, |(_, why)| why)
                        }
                    };
                    let error = this.error.take().expect("polled after completion");
                    this.call.gave_up_waiting(error.fault(), why);
                    return Poll::Ready(Err(this.call.finish(error, Some(why))));
                }
            };
            this.state.set(next);
        }
    }
}

impl<F> State<F> {
    fn readiness<S, Req, O>(call: &Call<S, Req, O>) -> Self
    where
        S: Service<Req, Future = F>,
        Req: HasTarget + Clone,
        O: Observer,
    {
        Self::Readiness {
            too_late: call.time_left().map(|(left, _)| tokio::time::sleep(left)),
        }
    }
}

impl<S, Req, O> fmt::Debug for ResponseFuture<S, Req, O>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Attempt { .. } => "attempt",
            State::Backoff { .. } => "backoff",
            State::Readiness { .. } => "readiness",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
