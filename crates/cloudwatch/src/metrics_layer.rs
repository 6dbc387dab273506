use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_bedrock_core::{HasCompletion, HasFault, HasTarget, Target, clock};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    handles::{HandleCache, Scope, describe},
    recording::Recording,
};

/// Counts and measures calls through the [`metrics`] facade.
///
/// It stands in a stack twice: [`requests`](Self::requests) outermost, for what the application sees, and
/// [`attempts`](Self::attempts) around the leaf, for what Bedrock sees. See the
/// [crate's documentation](crate) for an example.
///
/// # Recorder
///
/// Metrics are described, with their units, to the recorder that is in place when the layer is made, and handles
/// are registered with the one in place when a target is first called: install yours before you make the layer.
/// Without one, nothing is recorded and next to nothing is spent.
///
/// # Time
///
/// All that stands inside shares one [reading of the clock](clock) for each poll, as far as it asks there, as this
/// project's layers do.
///
/// # Labels
///
/// The first 256 targets get labels of their own; later ones are labelled `other`, so that clients that name
/// models cannot grow a recorder without limit. Those that you name to [`with_targets`](Self::with_targets) have
/// theirs, whoever was first.
///
/// # Clone
///
/// Clones, and all services made by them, share the registered handles.
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    handles: Arc<HandleCache>,
}

/// Counts and measures calls. Made by a [`MetricsLayer`].
#[derive(Clone, Debug)]
pub struct Metrics<S> {
    inner: S,
    handles: Arc<HandleCache>,
}

impl MetricsLayer {
    /// Measures requests: what the application asked for, whatever became of it on the way.
    #[must_use]
    pub fn requests() -> Self {
        Self::new(Scope::Request)
    }

    /// Measures attempts: each call that was sent to Bedrock.
    #[must_use]
    pub fn attempts() -> Self {
        Self::new(Scope::Attempt)
    }

    /// Registers targets with the recorder that is in place, and keeps labels of their own for them, whatever
    /// models clients name first: to be told the targets of the configuration, which alarms watch.
    ///
    /// Their counters of faults stand at zero from then on. A recorder such as Prometheus' sees a counter grow only
    /// where it has seen it before.
    #[must_use]
    pub fn with_targets(self, targets: impl IntoIterator<Item = Target>) -> Self {
        for target in targets {
            self.handles.reserve(&target);
        }
        self
    }

    fn new(scope: Scope) -> Self {
        describe();
        Self {
            handles: Arc::new(HandleCache::new(scope)),
        }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics {
            inner,
            handles: Arc::clone(&self.handles),
        }
    }
}

impl<S> Metrics<S> {
    /// The service that is measured.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that is measured, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service that is measured, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Request> Service<Request> for Metrics<S>
where
    Request: HasTarget,
    S: Service<Request>,
    S::Response: HasCompletion,
    S::Error: HasFault,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = MetricsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let _shared = clock::share();
        let recording = Recording::new(&self.handles, request.target());
        MetricsFuture {
            call: self.inner.call(request),
            recording: Some(recording),
        }
    }
}

pin_project! {
    /// The response of [`Metrics`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before the answer, it counts a cancelled call.
    pub struct MetricsFuture<F> {
        #[pin]
        call: F,
        recording: Option<Recording>,
    }
}

impl<F, Response, Error> Future for MetricsFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
    Response: HasCompletion,
    Error: HasFault,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _shared = clock::share();
        let mut result = ready!(this.call.poll(cx));
        if let Some(recording) = this.recording.take() {
            match &mut result {
                Ok(response) => {
                    recording.answered(response.history());
                    response.on_completion(move |completion| recording.completed(completion));
                }
                Err(error) => recording.failed(error.fault(), error.history()),
            }
        }
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for MetricsFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsFuture")
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}
