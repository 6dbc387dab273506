use tower::layer::util::Stack;
use tower_bedrock_cloudwatch::{MetricsLayer, TraceLayer};
use tower_layer::Layer;

use crate::timeout::TimeoutLayer;

/// An edge of the [standard stack](super::StandardStack): metrics around a span around a time limit. The stack has one
/// around everything, for requests, and one around its leaf, for attempts.
///
/// It is what names the two in a stack's type, and is put together by the stack's own methods.
#[derive(Clone, Debug)]
pub struct Edge<M = MetricsLayer, T = TraceLayer, L = TimeoutLayer> {
    pub(super) metrics: M,
    pub(super) trace: T,
    pub(super) timeout: L,
}

impl Edge {
    pub(super) fn requests() -> Self {
        Self {
            metrics: MetricsLayer::requests(),
            trace: TraceLayer::requests(),
            timeout: TimeoutLayer::REQUEST,
        }
    }

    pub(super) fn attempts() -> Self {
        Self {
            metrics: MetricsLayer::attempts(),
            trace: TraceLayer::attempts(),
            timeout: TimeoutLayer::ATTEMPT,
        }
    }
}

impl<M, T, L> Edge<M, T, L> {
    pub(super) fn with_metrics<N>(self, metrics: N) -> Edge<N, T, L> {
        Edge {
            metrics,
            trace: self.trace,
            timeout: self.timeout,
        }
    }

    pub(super) fn with_trace<N>(self, trace: N) -> Edge<M, N, L> {
        Edge {
            metrics: self.metrics,
            trace,
            timeout: self.timeout,
        }
    }

    pub(super) fn with_timeout<N>(self, timeout: N) -> Edge<M, T, N> {
        Edge {
            metrics: self.metrics,
            trace: self.trace,
            timeout,
        }
    }

    pub(super) fn with_cache<C>(self, cache: C) -> Edge<M, T, Stack<L, C>> {
        Edge {
            metrics: self.metrics,
            trace: self.trace,
            timeout: Stack::new(self.timeout, cache),
        }
    }
}

impl<S, M, T, L> Layer<S> for Edge<M, T, L>
where
    L: Layer<S>,
    T: Layer<L::Service>,
    M: Layer<T::Service>,
{
    type Service = M::Service;

    fn layer(&self, inner: S) -> Self::Service {
        // The span outside of the time limit, so that it tells of what took too long.
        self.metrics
            .layer(self.trace.layer(self.timeout.layer(inner)))
    }
}
