use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_bedrock_core::{HasFault, HasTarget};
use tower_service::Service;

use crate::{
    Cacheable, Key, ResponseFuture,
    flights::Part,
    future::{Asked, followed},
    layer::Shared,
};

/// Keeps answers and serves them again. Made by a [`CacheLayer`](crate::CacheLayer).
///
/// # Clone
///
/// Clones share what is kept.
pub struct Cache<S, K, W, V> {
    pub(crate) inner: S,
    pub(crate) shared: Arc<Shared<K, W, V>>,
}

impl<S, K, W, V> Cache<S, K, W, V> {
    /// The service whose answers are kept.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service whose answers are kept, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service whose answers are kept, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K, W, Request> Service<Request> for Cache<S, K, W, <S::Response as Cacheable>::Kept>
where
    Request: HasTarget,
    S: Service<Request> + Clone,
    S::Response: Cacheable,
    S::Error: HasFault,
    K: Fn(&Request) -> Option<Key> + Send + Sync + 'static,
    W: Fn(&<S::Response as Cacheable>::Kept) -> usize + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, K, W, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let Some(key) = (shared.key)(&request) else {
            return ResponseFuture::passed_through(shared, self.inner.call(request));
        };
        if let Some(answer) = shared.fresh(&key, request.target()) {
            self.release();
            return ResponseFuture::answered(shared, answer);
        }
        let lead = match shared.flights.as_ref().map(|flights| flights.join(key)) {
            Some(Part::Follow(flight)) => {
                self.release();
                let followed = followed(flight, request.context().deadline());
                let asked = Asked {
                    service: self.inner.clone(),
                    request,
                    key,
                };
                return ResponseFuture::following(shared, asked, followed);
            }
            Some(Part::Lead(lead)) => Some(lead),
            None => None,
        };
        let asked = request.target().clone();
        shared.observer.missed(&asked);
        ResponseFuture::asking(shared, self.inner.call(request), key, asked, lead)
    }
}

impl<S: Clone, K, W, V> Cache<S, K, W, V> {
    /// An instance that was polled ready and is not called may hold a permit. A clone of it does not.
    fn release(&mut self) {
        self.inner = self.inner.clone();
    }
}

/// Not derived: that would ask for `K: Clone`, `W: Clone` and `V: Clone`, which are shared.
impl<S: Clone, K, W, V> Clone for Cache<S, K, W, V> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, K, W, V: Clone> fmt::Debug for Cache<S, K, W, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("inner", &self.inner)
            .field("store", &self.shared.store)
            .finish_non_exhaustive()
    }
}
