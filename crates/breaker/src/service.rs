use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_bedrock_core::{HasCompletion, HasFault, HasTarget};
use tower_service::Service;

use crate::{KeyFn, Open, PerTarget, ResponseFuture, breaker::Breaker, registry::Registry};

/// Turns calls away from a target that is failing. Made by a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
///
/// # Readiness
///
/// Always ready. [`poll_ready`](Service::poll_ready) comes before the request, so it can't know whose breaker
/// to ask; and if it asked the inner service, an open breaker would still knock on the very door it keeps
/// shut, and hold whatever that hands out (a connection, a permit) for calls it then turns away. So the
/// breaker is asked in [`call`](Service::call), and only a call that may pass takes a clone of the inner
/// service, waits in its future until that clone is ready, and calls it.
///
/// What that costs: back-pressure of the inner service isn't seen through the breaker. Put a layer that sheds
/// or buffers load by readiness inside of it.
///
/// # Cancel safety
///
/// A call is admitted when `call` returns, and its future holds the permit. Dropped at any point, in whatever
/// state, it counts as nothing and a probe's place is free again. A response that is a stream holds the permit
/// until it ends.
///
/// # Clone
///
/// Clones share their breakers with one another, with the layer and with its other services.
pub struct CircuitBreaker<S, K: KeyFn = PerTarget> {
    inner: S,
    registry: Arc<Registry<K>>,
    /// The breaker asked last. Most services call one target, or one several times in a row.
    recent: Option<Arc<Breaker<K::Key>>>,
}

impl<S, K: KeyFn> CircuitBreaker<S, K> {
    pub(crate) const fn new(inner: S, registry: Arc<Registry<K>>) -> Self {
        Self {
            inner,
            registry,
            recent: None,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, out of its breaker.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, K> Service<R> for CircuitBreaker<S, K>
where
    S: Service<R> + Clone,
    S::Response: HasCompletion,
    S::Error: HasFault + From<Open>,
    R: HasTarget,
    K: KeyFn,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, S::Future, K::Key>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let admission = self
            .registry
            .admit(&mut self.recent, request.target(), request.context());
        match admission {
            Ok(permit) => ResponseFuture::admitted(permit, self.inner.clone(), request),
            Err(refusal) => ResponseFuture::rejected(refusal, request),
        }
    }
}

// Not derived: that would ask `K: Clone`.
impl<S: Clone, K: KeyFn> Clone for CircuitBreaker<S, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            registry: Arc::clone(&self.registry),
            recent: self.recent.clone(),
        }
    }
}

impl<S: fmt::Debug, K: KeyFn> fmt::Debug for CircuitBreaker<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("inner", &self.inner)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}
