use std::task::{Context, Poll};

use tokio::time::Duration;
use tower_bedrock_core::{Fault, FaultKind, HasTarget, Rejection, clock};
use tower_service::Service;

use super::ResponseFuture;

/// Gives calls so long to answer. Made by a [`TimeoutLayer`](super::TimeoutLayer).
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Limit,
}

/// The time was up before there was an answer.
///
/// Its source is a [`Fault`]: [`FaultKind::Timeout`] for an attempt,
/// [`FaultKind::DeadlineExceeded`] for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer in time")]
pub struct TimedOut(#[source] Fault);

impl Rejection for TimedOut {}

impl TimedOut {
    pub(super) fn new(kind: FaultKind) -> Self {
        Self(kind.into())
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Attempt {
        /// For an answer.
        answer: Duration,
        /// For the first content of a stream; never longer than for an answer.
        first_event: Duration,
    },
    /// On top of the deadline that a request brings.
    Request(Option<Duration>),
}

impl<S> Timeout<S> {
    pub(super) const fn new(inner: S, limit: Limit) -> Self {
        Self { inner, limit }
    }

    /// The service that is given so long.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that is given so long, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service that was given so long, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Request> Service<Request> for Timeout<S>
where
    Request: HasTarget,
    S: Service<Request>,
    S::Error: From<TimedOut>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let now = clock::now();
        let (until, kind) = match self.limit {
            Limit::Attempt {
                answer,
                first_event,
            } => {
                let timeout = if request.context().is_streaming() {
                    first_event
                } else {
                    answer
                };
                // A time too far off to be one is none.
                (now.checked_add(timeout), FaultKind::Timeout)
            }
            Limit::Request(timeout) => {
                let own = timeout.and_then(|timeout| now.checked_add(timeout));
                if let (Some(own), Some(context)) = (own, request.context_mut()) {
                    context.limit_deadline(own);
                }
                let deadline = request.context().deadline().or(own);
                (deadline, FaultKind::DeadlineExceeded)
            }
        };
        // A call whose time is up before it began is not made.
        let in_time = until.is_none_or(|until| until > now);
        ResponseFuture {
            call: if in_time {
                Some(self.inner.call(request))
            } else {
                None
            },
            until,
            timer: None,
            kind,
        }
    }
}
