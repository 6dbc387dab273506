use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_bedrock_core::FaultKind;

use super::TimedOut;

pin_project! {
    /// The response of a [`Timeout`](super::Timeout).
    pub struct ResponseFuture<F> {
        // `None` where the time was up before the call.
        #[pin]
        pub(super) call: Option<F>,
        pub(super) until: Option<Instant>,
        // Made when the call is not answered at once.
        #[pin]
        pub(super) timer: Option<Sleep>,
        pub(super) kind: FaultKind,
    }
}

impl<F, Response, Error> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
    Error: From<TimedOut>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // An answer that is there counts, even where the time has come as well.
        if let Some(call) = this.call.as_pin_mut() {
            if let Poll::Ready(result) = call.poll(cx) {
                return Poll::Ready(result);
            }
            let Some(until) = *this.until else {
                return Poll::Pending;
            };
            if this.timer.is_none() {
                this.timer.set(Some(sleep_until(until)));
            }
            if let Some(timer) = this.timer.as_pin_mut() {
                ready!(timer.poll(cx));
            }
        }
        Poll::Ready(Err(TimedOut::new(*this.kind).into()))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("timeout::ResponseFuture")
            .finish_non_exhaustive()
    }
}
