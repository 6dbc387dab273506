use std::{
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use tower_bedrock_core::HasTarget;
use tower_service::Service;

use crate::{Cacheable, Key, layer::Shared};

/// Answers with what is kept, and asks nobody. Made by [`CacheLayer::responder`](crate::CacheLayer::responder).
///
/// # Clone
///
/// Clones share what is kept.
pub struct Responder<K, W, R: Cacheable> {
    shared: Arc<Shared<K, W, R::Kept>>,
    response: PhantomData<fn() -> R>,
}

/// No answer is kept for this call, or only one that is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer is kept for this call")]
#[non_exhaustive]
pub struct NotKept;

impl<K, W, R: Cacheable> Responder<K, W, R> {
    pub(crate) const fn new(shared: Arc<Shared<K, W, R::Kept>>) -> Self {
        Self {
            shared,
            response: PhantomData,
        }
    }
}

impl<K, W, R, Request> Service<Request> for Responder<K, W, R>
where
    Request: HasTarget,
    K: Fn(&Request) -> Option<Key>,
    R: Cacheable,
{
    type Response = R;
    type Error = NotKept;
    type Future = Ready<Result<R, NotKept>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotKept>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let key = (self.shared.key)(&request);
        let answer = key.and_then(|key| self.shared.stale(&key, request.target(), None));
        ready(answer.ok_or(NotKept))
    }
}

/// Not derived: that would ask for `K: Clone` and `W: Clone`, which are shared.
impl<K, W, R: Cacheable> Clone for Responder<K, W, R> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl<K, W, R: Cacheable> fmt::Debug for Responder<K, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("cache::Responder")
            .field("store", &self.shared.store)
            .finish_non_exhaustive()
    }
}
