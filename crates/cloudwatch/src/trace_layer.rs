use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_bedrock_core::{
    Completion, Fault, HasCompletion, HasDemand, HasFault, HasTarget, Outcome, Target,
};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

use crate::{
    attributes::{
        attempt_span, record_cancelled, record_cost, record_fault, record_history, request_span,
    },
    handles::Scope,
};

/// Puts each call in a `tracing` span with OpenTelemetry's attributes for generative AI.
///
/// Like [`MetricsLayer`](crate::MetricsLayer) it stands in a stack twice: [`requests`](Self::requests)
/// outermost and [`attempts`](Self::attempts) around the leaf. The span of a stream lasts until the stream
/// ends. A failed attempt leaves one event with the exception's name and the flavour, so that the usual log
/// queries (`filter @message like /ThrottlingException/`) find it. No body is ever in either.
///
/// # Clone
///
/// There is nothing to share.
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer {
    scope: Scope,
}

/// Puts each call in a span. Made by a [`TraceLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Trace<S> {
    inner: S,
    scope: Scope,
}

impl TraceLayer {
    /// Spans named `bedrock.request`, for what the application asked for.
    #[must_use]
    pub const fn requests() -> Self {
        Self {
            scope: Scope::Request,
        }
    }

    /// Spans named `bedrock.attempt`, for each call that is sent to Bedrock.
    #[must_use]
    pub const fn attempts() -> Self {
        Self {
            scope: Scope::Attempt,
        }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace {
            inner,
            scope: self.scope,
        }
    }
}

impl<S> Trace<S> {
    /// The service that is traced.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that is traced, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service that is traced, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Request> Service<Request> for Trace<S>
where
    Request: HasTarget + HasDemand,
    S: Service<Request>,
    S::Response: HasCompletion,
    S::Error: HasFault,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let span = match self.scope {
            Scope::Request => request_span(request.target(), request.demand()),
            Scope::Attempt => attempt_span(request.target(), request.demand()),
        };
        let target = request.target().clone();
        let call = span.in_scope(|| self.inner.call(request));
        TraceFuture {
            span,
            target,
            scope: self.scope,
            call,
        }
    }
}

pin_project! {
    /// The response of [`Trace`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the span.
    pub struct TraceFuture<F> {
        span: Span,
        target: Target,
        scope: Scope,
        #[pin]
        call: F,
    }
}

impl<F, Response, Error> Future for TraceFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
    Response: HasCompletion,
    Error: HasFault,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let mut result = ready!(this.call.poll(cx));
        match &mut result {
            Ok(response) => {
                record_history(this.span, response.history());
                let (span, target, scope) = (this.span.clone(), this.target.clone(), *this.scope);
                response
                    .on_completion(move |completion| completed(&span, &target, scope, completion));
            }
            Err(error) => {
                record_history(this.span, error.history());
                failed(this.span, this.target, *this.scope, error.fault());
            }
        }
        Poll::Ready(result)
    }
}

fn completed(span: &Span, target: &Target, scope: Scope, completion: &Completion) {
    record_cost(span, completion);
    match completion.outcome {
        Outcome::Complete => {}
        Outcome::Failed(fault) => failed(span, target, scope, fault),
        Outcome::Dropped => record_cancelled(span),
    }
}

fn failed(span: &Span, target: &Target, scope: Scope, fault: Fault) {
    record_fault(span, fault);
    if scope == Scope::Attempt {
        let exception = fault.kind().exception().unwrap_or("none");
        tracing::warn!(parent: span, exception, %fault, bedrock.target = %target, "attempt failed");
    }
}

impl<F> fmt::Debug for TraceFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceFuture")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}
