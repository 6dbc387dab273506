use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_bedrock_core::{HasCompletion, HasFault, HasTarget};
use tower_service::Service;

use crate::{
    Observer, ResponseFuture,
    call::{Call, set_attempt},
    layer::Shared,
};

/// Retries the calls of the service inside. Made by [`RetryLayer`](crate::RetryLayer).
///
/// # Clone
///
/// Clones share the retry budgets, the source of randomness and the observer.
pub struct Retry<S, O = ()> {
    inner: S,
    shared: Arc<Shared<O>>,
}

impl<S, O> Retry<S, O> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared<O>>) -> Self {
        Self { inner, shared }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, taken out.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, O> Service<Req> for Retry<S, O>
where
    S: Service<Req> + Clone,
    S::Response: HasCompletion,
    S::Error: HasFault,
    Req: HasTarget + Clone,
    O: Observer,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, O>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        set_attempt(&mut request, 1);
        // The instance that was polled ready makes the first attempt; the clone, which has to become
        // ready first, the others.
        let call = Call::new(Arc::clone(&self.shared), &self.inner, &request);
        ResponseFuture::new(call, self.inner.call(request))
    }
}

/// Clones the handle: the observer need not be [`Clone`].
impl<S: Clone, O> Clone for Retry<S, O> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, O> fmt::Debug for Retry<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("policy", &self.shared.policy)
            .finish_non_exhaustive()
    }
}
