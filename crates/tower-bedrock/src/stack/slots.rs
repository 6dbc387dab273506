//! What can be put into the slots, and what is left out of them.

use tower::layer::util::Identity;
use tower_bedrock_cloudwatch::MetricsLayer;
use tower_bedrock_core::Target;

use super::{Edge, StandardStack};

/// A stack with one part put in place of another, which may be of another type.
macro_rules! with {
    ($stack:ident, $($kept:ident)*; $slot:ident: $value:expr) => {
        StandardStack {
            $($kept: $stack.$kept,)*
            $slot: $value,
            reports: $stack.reports,
        }
    };
}

/// The slots of policies.
impl<F, R, B, Q, O, A> StandardStack<F, R, B, Q, O, A> {
    /// Puts a fallback layer into its slot: one of [`with_chains`](StandardStack::with_chains), or with a rewrite, a last
    /// resort or a forecast of your own.
    #[must_use]
    pub fn with_fallback<L>(self, fallback: L) -> StandardStack<L, R, B, Q, O, A> {
        with!(self, retry breaker quota request attempt; fallback: fallback)
    }

    /// Puts another retry layer into its slot.
    #[must_use]
    pub fn with_retry<L>(self, retry: L) -> StandardStack<F, L, B, Q, O, A> {
        with!(self, fallback breaker quota request attempt; retry: retry)
    }

    /// Puts another circuit breaker into its slot.
    #[must_use]
    pub fn with_breaker<L>(self, breaker: L) -> StandardStack<F, R, L, Q, O, A> {
        with!(self, fallback retry quota request attempt; breaker: breaker)
    }

    /// Puts another quota into its slot.
    #[must_use]
    pub fn with_quota<L>(self, quota: L) -> StandardStack<F, R, B, L, O, A> {
        with!(self, fallback retry breaker request attempt; quota: quota)
    }

    /// Leaves out the retry layer: every attempt is the last.
    #[must_use]
    pub fn without_retry(self) -> StandardStack<F, Identity, B, Q, O, A> {
        self.with_retry(Identity::new())
    }

    /// Leaves out the circuit breaker.
    #[must_use]
    pub fn without_breaker(self) -> StandardStack<F, R, Identity, Q, O, A> {
        self.with_breaker(Identity::new())
    }

    /// Leaves out the quota.
    #[must_use]
    pub fn without_quota(self) -> StandardStack<F, R, B, Identity, O, A> {
        self.with_quota(Identity::new())
    }

    fn with_request<E>(self, request: impl FnOnce(O) -> E) -> StandardStack<F, R, B, Q, E, A> {
        with!(self, fallback retry breaker quota attempt; request: request(self.request))
    }

    fn with_attempt<E>(self, attempt: impl FnOnce(A) -> E) -> StandardStack<F, R, B, Q, O, E> {
        with!(self, fallback retry breaker quota request; attempt: attempt(self.attempt))
    }
}

/// The slots around all policies, for requests.
impl<F, R, B, Q, M, T, L, C, A> StandardStack<F, R, B, Q, Edge<M, T, L, C>, A> {
    /// Puts another time limit of a whole request into its slot: a
    /// [`TimeoutLayer::request`](crate::timeout::TimeoutLayer::request) or
    /// [`TimeoutLayer::deadline`](crate::timeout::TimeoutLayer::deadline), or a layer of your own.
    #[must_use]
    pub fn with_request_timeout<N>(
        self,
        timeout: N,
    ) -> StandardStack<F, R, B, Q, Edge<M, T, N, C>, A> {
        self.with_request(|edge| edge.with_timeout(timeout))
    }

    /// Puts a cache into its slot: around the time limit of a request, so that a kept answer can stand in for whatever
    /// fails, and inside of the request's metrics and span, which tell of what the caller got.
    ///
    /// A cache is one of a kind of request. Where the stack serves several, each has a clone of it with a cache of its
    /// own; clones share all the rest.
    ///
    #[cfg_attr(feature = "cache", doc = "```")]
    #[cfg_attr(not(feature = "cache"), doc = "```ignore")]
    /// use std::time::Duration;
    /// use tower_bedrock::{
    ///     BoxError, Invocation, StandardStack,
    ///     cache::{CacheLayer, Key},
    ///     metrics::CacheMetrics,
    /// };
    ///
    /// let stack = StandardStack::new()?;
    /// let key = |call: &Invocation<String>| Some(Key::of(call, "Converse", call.input().as_bytes()));
    /// let cache: CacheLayer<_, _, String> = CacheLayer::builder(key, String::len)
    ///     .fresh_for(Duration::from_secs(60))
    ///     .observer(CacheMetrics::from(stack.target_metrics().clone()))
    ///     .build()?;
    /// let cached = stack.clone().with_cache(cache);
    /// # let _ = (stack, cached);
    /// # Ok::<(), BoxError>(())
    /// ```
    #[must_use]
    pub fn with_cache<N>(self, cache: N) -> StandardStack<F, R, B, Q, Edge<M, T, L, N>, A> {
        self.with_request(|edge| edge.with_cache(cache))
    }

    /// Puts other metrics of requests into their slot, outermost.
    #[must_use]
    pub fn with_request_metrics<N>(
        self,
        metrics: N,
    ) -> StandardStack<F, R, B, Q, Edge<N, T, L, C>, A> {
        self.with_request(|edge| edge.with_metrics(metrics))
    }

    /// Puts another layer that makes a span of each request into its slot.
    #[must_use]
    pub fn with_request_trace<N>(self, trace: N) -> StandardStack<F, R, B, Q, Edge<M, N, L, C>, A> {
        self.with_request(|edge| edge.with_trace(trace))
    }
}

/// The slots inside all policies, for attempts.
impl<F, R, B, Q, O, M, T, L> StandardStack<F, R, B, Q, O, Edge<M, T, L>> {
    /// Puts another time limit of one attempt into its slot: a
    /// [`TimeoutLayer::attempt`](crate::timeout::TimeoutLayer::attempt), or a layer of your own.
    #[must_use]
    pub fn with_attempt_timeout<N>(
        self,
        timeout: N,
    ) -> StandardStack<F, R, B, Q, O, Edge<M, T, N>> {
        self.with_attempt(|edge| edge.with_timeout(timeout))
    }

    /// Puts other metrics of attempts into their slot.
    #[must_use]
    pub fn with_attempt_metrics<N>(
        self,
        metrics: N,
    ) -> StandardStack<F, R, B, Q, O, Edge<N, T, L>> {
        self.with_attempt(|edge| edge.with_metrics(metrics))
    }

    /// Puts another layer that makes a span of each attempt into its slot.
    #[must_use]
    pub fn with_attempt_trace<N>(self, trace: N) -> StandardStack<F, R, B, Q, O, Edge<M, N, L>> {
        self.with_attempt(|edge| edge.with_trace(trace))
    }
}

/// The slots that there are two of.
#[expect(clippy::type_complexity, reason = "a slot changes in both edges")]
impl<F, R, B, Q, M, T, L, C, N, U, K> StandardStack<F, R, B, Q, Edge<M, T, L, C>, Edge<N, U, K>> {
    /// Leaves out both time limits. A request's own deadline still keeps policies from beginning what it leaves no
    /// time for, but only the leaf can end what is under way; for that deadline alone put
    /// [`TimeoutLayer::deadline`](crate::timeout::TimeoutLayer::deadline) into the request's slot.
    #[must_use]
    pub fn without_timeouts(
        self,
    ) -> StandardStack<F, R, B, Q, Edge<M, T, Identity, C>, Edge<N, U, Identity>> {
        self.with_request_timeout(Identity::new())
            .with_attempt_timeout(Identity::new())
    }

    /// Leaves out the metrics of requests and of attempts. The policies that the stack comes with tell of retries,
    /// breakers and quotas all the same, through observers that are theirs: put others into their slots, which have none.
    #[must_use]
    pub fn without_metrics(
        self,
    ) -> StandardStack<F, R, B, Q, Edge<Identity, T, L, C>, Edge<Identity, U, K>> {
        self.with_request_metrics(Identity::new())
            .with_attempt_metrics(Identity::new())
    }

    /// Leaves out the spans of requests and of attempts. The events of policies then belong to the caller's span.
    #[must_use]
    pub fn without_trace(
        self,
    ) -> StandardStack<F, R, B, Q, Edge<M, Identity, L, C>, Edge<N, Identity, K>> {
        self.with_request_trace(Identity::new())
            .with_attempt_trace(Identity::new())
    }
}

impl<F, R, B, Q, T, L, C, U, K>
    StandardStack<F, R, B, Q, Edge<MetricsLayer, T, L, C>, Edge<MetricsLayer, U, K>>
{
    /// Names targets to the metrics of requests and attempts, as [`MetricsLayer::with_targets`] does, and to those of
    /// retries and circuit breakers. Layers that have been put into slots report to metrics of their own.
    #[must_use]
    pub fn with_targets(mut self, targets: impl IntoIterator<Item = Target> + Clone) -> Self {
        self.reports.target = self.reports.target.with_targets(targets.clone());
        self.request.metrics = self.request.metrics.with_targets(targets.clone());
        self.attempt.metrics = self.attempt.metrics.with_targets(targets);
        self
    }

    /// Goes on with the metrics of another stack, and so with the targets that have labels of their own.
    #[cfg(feature = "config")]
    pub(crate) fn with_metrics_of(mut self, other: &Self) -> Self {
        self.request.metrics = other.request.metrics.clone();
        self.attempt.metrics = other.attempt.metrics.clone();
        self
    }
}
