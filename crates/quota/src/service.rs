use std::task::{Context, Poll};

use tower_bedrock_core::{HasCompletion, HasDemand, HasFault, HasTarget};
use tower_service::Service;

use crate::{CountTokens, Exhausted, Limiter, ResponseFuture};

/// A service whose calls wait until their quota has room for them.
///
/// Requests say where they go and what they may cost ([`HasTarget`], [`HasDemand`]), responses what they
/// have cost ([`HasCompletion`]), and errors what went wrong ([`HasFault`]). A call that is turned away
/// fails with [`Exhausted`], as the inner service's error.
///
/// # Readiness
///
/// Always ready: which quota a call needs is not known before the call. The inner service is cloned for
/// each call and asked for readiness after admission, so that a call that waits here holds no permit there.
///
/// # Clone
///
/// Clones share the limiter, and so all quotas.
#[derive(Clone, Debug)]
pub struct Quota<S, C = ()> {
    inner: S,
    limiter: Limiter,
    count: C,
}

impl<S, C> Quota<S, C> {
    pub(crate) const fn new(inner: S, limiter: Limiter, count: C) -> Self {
        Self {
            inner,
            limiter,
            count,
        }
    }

    /// The limiter.
    pub const fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, Request> Service<Request> for Quota<S, C>
where
    S: Service<Request> + Clone,
    S::Response: HasCompletion,
    S::Error: HasFault + From<Exhausted>,
    Request: HasTarget + HasDemand,
    C: CountTokens<Request> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Request, C>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        ResponseFuture::new(
            self.limiter.clone(),
            self.count.clone(),
            self.inner.clone(),
            request,
        )
    }
}
