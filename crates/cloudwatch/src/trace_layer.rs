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
use tracing::{Span, level_filters::LevelFilter};

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
/// ends. No body is ever in a span or an event.
///
/// # Failed attempts
///
/// Each leaves one event, `attempt failed`, with the exception's name, the flavour and the target, so that the usual
/// log queries (`filter @message like /ThrottlingException/`) find it. A policy that
/// [counts attempts](tower_bedrock_core::Context::attempt) tells of them itself, as the retry layer does, because it
/// knows what follows: its events also have the attempt's number, and the delay before the next one. What is told
/// here then is that a stream broke off, which no policy sees.
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

impl<S> Trace<S> {
    fn call_in_span<Request>(&mut self, request: Request) -> TraceFuture<S::Future>
    where
        Request: HasTarget + HasDemand,
        S: Service<Request>,
    {
        let traced = Traced::new(self.scope, &request);
        TraceFuture {
            call: traced.span.in_scope(|| self.inner.call(request)),
            traced: Some(traced),
        }
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

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        if is_heard() {
            return self.call_in_span(request);
        }
        TraceFuture {
            call: self.inner.call(request),
            traced: None,
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
        #[pin]
        call: F,
        // `None` where nobody listens.
        traced: Option<Traced>,
    }
}

#[derive(Clone, Debug)]
struct Traced {
    span: Span,
    target: Target,
    scope: Scope,
    /// Its number, where a policy further out counts attempts.
    attempt: Option<u32>,
}

impl<F, Response, Error> Future for TraceFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
    Response: HasCompletion,
    Error: HasFault,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.traced.as_ref().map(|traced| traced.span.enter());
        let mut result = ready!(this.call.poll(cx));
        if let Some(traced) = &*this.traced {
            traced.answered(&mut result);
        }
        Poll::Ready(result)
    }
}

/// Whether any subscriber cares for what is told here. Where none is installed, this is all that a call costs.
fn is_heard() -> bool {
    LevelFilter::current() >= LevelFilter::WARN
}

impl Traced {
    fn new(scope: Scope, request: &(impl HasTarget + HasDemand)) -> Self {
        let attempt = request.context().attempt();
        let span = match scope {
            Scope::Request => request_span(request.target(), request.demand()),
            Scope::Attempt => attempt_span(request.target(), request.demand(), attempt),
        };
        Self {
            span,
            target: request.target().clone(),
            scope,
            attempt,
        }
    }

    fn answered<R: HasCompletion, E: HasFault>(&self, result: &mut Result<R, E>) {
        match result {
            Ok(response) => {
                record_history(&self.span, response.history());
                let traced = self.clone();
                response.on_completion(move |completion| traced.completed(completion));
            }
            Err(error) => {
                record_history(&self.span, error.history());
                let fault = error.fault();
                record_fault(&self.span, fault);
                // Who counts attempts knows what follows, and tells.
                if self.attempt.is_none() {
                    self.tell(fault);
                }
            }
        }
    }

    fn completed(&self, completion: &Completion) {
        record_cost(&self.span, completion);
        match completion.outcome {
            Outcome::Complete => {}
            Outcome::Failed(fault) => {
                record_fault(&self.span, fault);
                self.tell(fault);
            }
            Outcome::Dropped => record_cancelled(&self.span),
        }
    }

    fn tell(&self, fault: Fault) {
        if self.scope == Scope::Attempt {
            let kind = fault.kind();
            // Not as its parent: where nobody wants this span, the event is one of the span around it.
            let _entered = self.span.enter();
            tracing::warn!(
                bedrock.target = %self.target,
                exception = kind.exception(),
                fault = kind.as_str(),
                attempt = self.attempt.map(i64::from),
                "attempt failed"
            );
        }
    }
}

impl<F> fmt::Debug for TraceFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceFuture")
            .field("traced", &self.traced)
            .finish_non_exhaustive()
    }
}
