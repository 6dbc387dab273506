use tower::layer::util::Identity;
use tower_bedrock_cloudwatch::{MetricsLayer, TraceLayer};
use tower_layer::Layer;

use crate::timeout::TimeoutLayer;

/// An edge of the [standard stack](super::StandardStack): metrics around a span around a time limit, and around that a
/// cache where there is one. The stack has one edge around everything, for requests, and one around its leaf, for
/// attempts.
///
/// It is what names the two in a stack's type, and is put together by the stack's own methods.
#[derive(Clone, Debug)]
pub struct Edge<M = MetricsLayer, T = TraceLayer, L = TimeoutLayer, C = Identity> {
    pub(super) metrics: M,
    pub(super) trace: T,
    pub(super) cache: C,
    pub(super) timeout: L,
}

impl Edge {
    pub(super) fn requests() -> Self {
        Self {
            metrics: MetricsLayer::requests(),
            trace: TraceLayer::requests(),
            cache: Identity::new(),
            timeout: TimeoutLayer::REQUEST,
        }
    }

    pub(super) fn attempts() -> Self {
        Self {
            metrics: MetricsLayer::attempts(),
            trace: TraceLayer::attempts(),
            cache: Identity::new(),
            timeout: TimeoutLayer::ATTEMPT,
        }
    }
}

/// An edge with one part put in place of another, which may be of another type.
macro_rules! with {
    ($edge:ident, $($kept:ident)*; $part:ident) => {
        Edge {
            $($kept: $edge.$kept,)*
            $part,
        }
    };
}

impl<M, T, L, C> Edge<M, T, L, C> {
    pub(super) fn with_metrics<N>(self, metrics: N) -> Edge<N, T, L, C> {
        with!(self, trace cache timeout; metrics)
    }

    pub(super) fn with_trace<N>(self, trace: N) -> Edge<M, N, L, C> {
        with!(self, metrics cache timeout; trace)
    }

    pub(super) fn with_timeout<N>(self, timeout: N) -> Edge<M, T, N, C> {
        with!(self, metrics trace cache; timeout)
    }

    pub(super) fn with_cache<N>(self, cache: N) -> Edge<M, T, L, N> {
        with!(self, metrics trace timeout; cache)
    }
}

impl<S, M, T, L, C> Layer<S> for Edge<M, T, L, C>
where
    L: Layer<S>,
    C: Layer<L::Service>,
    T: Layer<C::Service>,
    M: Layer<T::Service>,
{
    type Service = M::Service;

    fn layer(&self, inner: S) -> Self::Service {
        // The cache outside of the time limit, so that a kept answer can stand in for what took too long, and the span
        // outside of both, so that it tells of that.
        let service = self.timeout.layer(inner);
        let service = self.cache.layer(service);
        let service = self.trace.layer(service);
        self.metrics.layer(service)
    }
}
