use std::{fmt, sync::Arc};

use tower_layer::Layer;

use crate::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerHandle, KeyFn, PerTarget,
    registry::Registry,
};

/// Puts a [`CircuitBreaker`] around a service.
///
/// # Clone
///
/// Clones share their breakers, and so do all services made from them and their clones: services that send
/// different operations to one target share what is known of it.
pub struct CircuitBreakerLayer<K: KeyFn = PerTarget> {
    registry: Arc<Registry<K>>,
}

impl CircuitBreakerLayer {
    /// Builds a layer with one breaker for each [`Target`](tower_bedrock_core::Target).
    #[must_use]
    pub fn builder() -> CircuitBreakerBuilder {
        Self::builder_by(PerTarget)
    }

    /// Builds a layer with one breaker for each key that `key_fn` makes; see [`KeyFn`].
    #[must_use]
    pub fn builder_by<K: KeyFn>(key_fn: K) -> CircuitBreakerBuilder<K> {
        CircuitBreakerBuilder::new(key_fn)
    }
}

impl<K: KeyFn> CircuitBreakerLayer<K> {
    pub(crate) fn new(registry: Registry<K>) -> Self {
        Self {
            registry: Arc::new(registry),
        }
    }

    /// A handle on the breakers, for operators and for other policies.
    #[must_use]
    pub fn handle(&self) -> CircuitBreakerHandle<K> {
        CircuitBreakerHandle::new(Arc::clone(&self.registry))
    }
}

impl<S, K: KeyFn> Layer<S> for CircuitBreakerLayer<K> {
    type Service = CircuitBreaker<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, Arc::clone(&self.registry))
    }
}

// Not derived: that would ask `K: Clone`.
impl<K: KeyFn> Clone for CircuitBreakerLayer<K> {
    fn clone(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
        }
    }
}

impl<K: KeyFn> fmt::Debug for CircuitBreakerLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreakerLayer")
            .field(&self.registry)
            .finish()
    }
}
