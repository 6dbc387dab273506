//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::Error;

/// What [`BedrockService`](crate::BedrockService) answers a call with.
///
/// Dropping it cancels the HTTP request.
///
/// The SDK's futures cannot be named, so the call is boxed, once. (Beside it, the SDK itself makes some 350
/// allocations for a small call.)
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<R> {
    inner: Pin<Box<dyn Future<Output = Result<R, Error>> + Send>>,
}

impl<R> ResponseFuture<R> {
    pub(crate) fn new(call: impl Future<Output = Result<R, Error>> + Send + 'static) -> Self {
        Self {
            inner: Box::pin(call),
        }
    }
}

impl<R> Future for ResponseFuture<R> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for ResponseFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
