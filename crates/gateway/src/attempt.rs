//! A span around every attempt, and an event for each that fails.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_bedrock_core::{HasFault, HasTarget};
use tower_layer::Layer;
use tower_service::Service;
use tracing::instrument::{Instrument, Instrumented};

/// Wraps a service in [`Attempt`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AttemptLayer(());

/// Puts every call in a span, and logs why it failed where it did.
#[derive(Clone, Debug)]
pub(crate) struct Attempt<S> {
    inner: S,
}

pin_project! {
    /// The future of a call.
    pub(crate) struct AttemptFuture<F> {
        #[pin]
        inner: Instrumented<F>,
    }
}

impl AttemptLayer {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Attempt<S> {
        Attempt { inner }
    }
}

impl<S, R> Service<R> for Attempt<S>
where
    S: Service<R>,
    S::Error: HasFault + Error,
    R: HasTarget,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let span = tracing::info_span!("attempt", target = %request.target());
        let inner = span.in_scope(|| self.inner.call(request));
        AttemptFuture {
            inner: inner.instrument(span),
        }
    }
}

impl<F, T, E> Future for AttemptFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: HasFault + Error,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = ready!(this.inner.as_mut().poll(cx));
        if let Err(error) = &result {
            this.inner.span().in_scope(|| log_failure(error));
        }
        Poll::Ready(result)
    }
}

/// Logs why a call failed: its fault, and the chain of its errors, which name no body.
pub(crate) fn log_failure<E: HasFault + Error>(error: &E) {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    tracing::warn!(
        fault = error.fault().kind().as_str(),
        causes = causes.join(": "),
        "attempt failed: {error}"
    );
}
