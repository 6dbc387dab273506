use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::TimedOut;

pin_project! {
    /// The response of a [`Timeout`](super::Timeout).
    pub struct ResponseFuture<F> {
        // `None` where the time was up before the call.
        #[pin]
        call: Option<F>,
        #[pin]
        timer: Option<Sleep>,
        error: TimedOut,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(call: Option<F>, until: Option<Instant>, error: TimedOut) -> Self {
        Self {
            call,
            timer: until.map(sleep_until),
            error,
        }
    }
}

impl<F, Response, Error> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
    Error: From<TimedOut>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // An answer that is there counts, even where the time has come as well.
        let Some(call) = this.call.as_pin_mut() else {
            return Poll::Ready(Err((*this.error).into()));
        };
        if let Poll::Ready(result) = call.poll(cx) {
            return Poll::Ready(result);
        }
        match this.timer.as_pin_mut() {
            Some(timer) => ready!(timer.poll(cx)),
            None => return Poll::Pending,
        }
        Poll::Ready(Err((*this.error).into()))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("timeout::ResponseFuture")
            .finish_non_exhaustive()
    }
}
