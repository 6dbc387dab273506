use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower_bedrock_core::{HasCompletion, HasDemand, HasFault, HasTarget};
use tower_service::Service;

use crate::{FallbackLayer, Responder, ResponseFuture, Rewrite, Unserved};

/// Lets a call that one target cannot serve fall to the next. Made by a [`FallbackLayer`].
///
/// # Clone
///
/// Clones share the chains; there is no other state.
pub struct Fallback<S, W = (), R = ()> {
    pub(crate) inner: S,
    pub(crate) layer: Arc<FallbackLayer<W, R>>,
}

impl<S, W, R> Fallback<S, W, R> {
    /// The service that hops are sent to.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that hops are sent to, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service that hops are sent to, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, W, R, Request> Service<Request> for Fallback<S, W, R>
where
    Request: HasTarget + HasDemand + Clone,
    S: Service<Request> + Clone,
    S::Response: HasCompletion,
    S::Error: HasFault + From<Unserved>,
    W: Rewrite<Request>,
    R: Responder<Request, S::Response>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, W, R, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        // The instance that was polled ready goes with the call; a clone may not be ready.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::new(inner, Arc::clone(&self.layer), request)
    }
}

/// Not derived: that would ask for `W: Clone` and `R: Clone`, which are shared.
impl<S: Clone, W, R> Clone for Fallback<S, W, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: Arc::clone(&self.layer),
        }
    }
}

impl<S: fmt::Debug, W, R> fmt::Debug for Fallback<S, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
