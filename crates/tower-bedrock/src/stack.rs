use tokio::time::Duration;
use tower::layer::util::Identity;
use tower_bedrock_breaker::CircuitBreakerLayer;
use tower_bedrock_cloudwatch::{Metrics, MetricsLayer, Trace, TraceLayer, policy::TargetMetrics};
use tower_bedrock_core::{BoxError, Target};
use tower_bedrock_fallback::{Chain, FallbackLayer, InvalidChain};
use tower_bedrock_quota::{Limiter, QuotaLayer};
use tower_bedrock_retry::{Policy, RetryLayer};
use tower_layer::Layer;

use crate::{
    metrics::{BreakerMetrics, QuotaMetrics, RetryMetrics},
    timeout::{Timeout, TimeoutLayer},
};

/// The standard stack: every policy in its place. A layer itself, to be put around a leaf.
///
/// ```
/// use tower::{Layer, ServiceExt};
/// use tower_bedrock::{HasCompletion, StandardStack, fallback::{Alternative, Chain}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let chain = Chain::new("us.anthropic.claude-sonnet-4-20250514-v1:0".parse()?)
///     .or(Alternative::model("us.amazon.nova-pro-v1:0".parse()?));
/// let stack = StandardStack::new()?.with_chains([chain])?;
///
/// // Around the simulator here; in an application, around a `BedrockService`.
/// # let simulator = bedrock_sim::Simulator::default();
/// let bedrock = stack.layer(simulator.service());
/// # let target = tower_bedrock::Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
/// # let mut input = bedrock_sim::Input::default();
/// # input.add_text("Say hello.");
/// # let invocation = bedrock_sim::Prompt::new(input).with_max_output_tokens(100).to(target);
/// let answer = bedrock.oneshot(invocation).await?;
/// assert_eq!(answer.history().unwrap().attempts, 1);
/// # Ok(())
/// # }
/// ```
///
/// # The order, and why
///
/// ```text
/// metrics and span       one per request: what the application sees
///   timeout              one deadline for everything inside
///     fallback           each hop has its own retries, breaker and quota
///       retry            owns every retry; outside the breaker, so that each attempt is asked for
///         breaker        outside the quota, so that a call that is turned away costs none
///           quota        waits for its turn; outside the timeout, so that waiting is not held against Bedrock
///             metrics and span    one per attempt: what Bedrock sees, and that it took too long
///               timeout    of one attempt, seen by the breaker
///                 the leaf
/// ```
///
/// # Slots
///
/// Each policy has a slot. `with_*` puts a layer of your own into it, another type or another setting;
/// `without_*` leaves it empty. The slots' types are the parameters, in the order a call meets them, so the
/// whole can be named: `<StandardStack as Layer<MyLeaf>>::Service`. Box it with
/// [`BoxCloneSyncService`](tower::util::BoxCloneSyncService) where the name is in the way.
///
/// # Clone
///
/// Clones, and all services made by them, share quotas, breakers, retry budgets and metrics.
#[derive(Clone, Debug)]
pub struct StandardStack<
    F = Identity,
    R = RetryLayer<RetryMetrics>,
    B = CircuitBreakerLayer,
    Q = QuotaLayer,
> {
    fallback: F,
    retry: R,
    breaker: B,
    quota: Q,
    fixed: Fixed,
}

/// What has no slot, because it has no alternative: time limits and measuring.
#[derive(Clone, Debug)]
struct Fixed {
    request_metrics: MetricsLayer,
    request_timeout: TimeoutLayer,
    attempt_timeout: TimeoutLayer,
    attempt_metrics: MetricsLayer,
    /// What the retry layer and the circuit breaker report to, unless others have been put into their slots.
    target_metrics: TargetMetrics,
    quota_metrics: QuotaMetrics,
}

/// What stands around a leaf, inside all policies.
type Attempt<S> = Metrics<Trace<Timeout<S>>>;

/// What stands around all policies.
type Request<S> = Metrics<Trace<Timeout<S>>>;

impl StandardStack {
    /// The default: retry, breaker and quota with their own defaults, 300 seconds for a request and 120 for an
    /// attempt, and no fallback, which needs to be told the alternatives.
    ///
    /// The quota knows no limits yet and learns them from the throttles it meets; tell it yours with
    /// [`with_quota`](Self::with_quota).
    ///
    /// # Errors
    ///
    /// [`BoxError`] where a default is out of its range, which a test makes sure of.
    pub fn new() -> Result<Self, BoxError> {
        let target_metrics = TargetMetrics::new();
        let quota_metrics = QuotaMetrics::new();
        Ok(Self {
            fallback: Identity::new(),
            retry: RetryLayer::builder(Policy::default())
                .observer(RetryMetrics::from(target_metrics.clone()))
                .build(),
            breaker: CircuitBreakerLayer::builder()
                .observer(BreakerMetrics::from(target_metrics.clone()))
                .build()?,
            quota: QuotaLayer::new(Limiter::builder().observe(quota_metrics.clone()).build()?),
            fixed: Fixed {
                request_metrics: MetricsLayer::requests(),
                request_timeout: TimeoutLayer::REQUEST,
                attempt_timeout: TimeoutLayer::ATTEMPT,
                attempt_metrics: MetricsLayer::attempts(),
                target_metrics,
                quota_metrics,
            },
        })
    }
}

/// How long a hop may make a call wait before the next is asked: longer than a quota's hiccup, shorter than
/// anybody's patience.
const LATENCY_BUDGET: Duration = Duration::from_secs(2);

impl<F, R> StandardStack<F, R> {
    /// Puts a fallback layer with these chains into its slot. Before a hop is called, the circuit breaker and the quota
    /// that are in their slots now are asked: one that would be turned away, or would wait for more than two
    /// seconds, is left to the last. So this comes after [`with_breaker`](Self::with_breaker) and
    /// [`with_quota`](Self::with_quota).
    ///
    /// # Errors
    ///
    /// [`InvalidChain`] names the first chain that cannot be right, and why.
    pub fn with_chains(
        self,
        chains: impl IntoIterator<Item = Chain>,
    ) -> Result<StandardStack<FallbackLayer, R>, InvalidChain> {
        let headroom = (self.breaker.handle(), self.quota.limiter().clone());
        let fallback = FallbackLayer::new(chains)?.skip_without_headroom(headroom, LATENCY_BUDGET);
        Ok(self.with_fallback(fallback))
    }
}

impl<F, R, B, Q> StandardStack<F, R, B, Q> {
    /// Puts a fallback layer into its slot: one of [`with_chains`](StandardStack::with_chains), or with a rewrite, a last
    /// resort or a forecast of your own.
    #[must_use]
    pub fn with_fallback<L>(self, fallback: L) -> StandardStack<L, R, B, Q> {
        let Self {
            retry,
            breaker,
            quota,
            fixed,
            ..
        } = self;
        StandardStack {
            fallback,
            retry,
            breaker,
            quota,
            fixed,
        }
    }

    /// Puts another retry layer into its slot.
    #[must_use]
    pub fn with_retry<L>(self, retry: L) -> StandardStack<F, L, B, Q> {
        let Self {
            fallback,
            breaker,
            quota,
            fixed,
            ..
        } = self;
        StandardStack {
            fallback,
            retry,
            breaker,
            quota,
            fixed,
        }
    }

    /// Puts another circuit breaker into its slot.
    #[must_use]
    pub fn with_breaker<L>(self, breaker: L) -> StandardStack<F, R, L, Q> {
        let Self {
            fallback,
            retry,
            quota,
            fixed,
            ..
        } = self;
        StandardStack {
            fallback,
            retry,
            breaker,
            quota,
            fixed,
        }
    }

    /// Puts another quota into its slot.
    #[must_use]
    pub fn with_quota<L>(self, quota: L) -> StandardStack<F, R, B, L> {
        let Self {
            fallback,
            retry,
            breaker,
            fixed,
            ..
        } = self;
        StandardStack {
            fallback,
            retry,
            breaker,
            quota,
            fixed,
        }
    }

    /// Leaves out the retry layer: every attempt is the last.
    #[must_use]
    pub fn without_retry(self) -> StandardStack<F, Identity, B, Q> {
        self.with_retry(Identity::new())
    }

    /// Leaves out the circuit breaker.
    #[must_use]
    pub fn without_breaker(self) -> StandardStack<F, R, Identity, Q> {
        self.with_breaker(Identity::new())
    }

    /// Leaves out the quota.
    #[must_use]
    pub fn without_quota(self) -> StandardStack<F, R, B, Identity> {
        self.with_quota(Identity::new())
    }

    /// Sets the time limit of a whole request: a [`TimeoutLayer::request`] or [`TimeoutLayer::deadline`].
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: TimeoutLayer) -> Self {
        self.fixed.request_timeout = timeout;
        self
    }

    /// Sets the time limit of one attempt: a [`TimeoutLayer::attempt`].
    #[must_use]
    pub fn with_attempt_timeout(mut self, timeout: TimeoutLayer) -> Self {
        self.fixed.attempt_timeout = timeout;
        self
    }

    /// Names targets to the metrics of requests and attempts, as
    /// [`MetricsLayer::with_targets`](tower_bedrock_cloudwatch::MetricsLayer::with_targets) does, and to those of
    /// retries and circuit breakers. Layers that have been put into slots report to metrics of their own.
    #[must_use]
    pub fn with_targets(mut self, targets: impl IntoIterator<Item = Target> + Clone) -> Self {
        let Fixed {
            request_metrics,
            attempt_metrics,
            target_metrics,
            ..
        } = &mut self.fixed;
        *request_metrics = request_metrics.clone().with_targets(targets.clone());
        *attempt_metrics = attempt_metrics.clone().with_targets(targets.clone());
        *target_metrics = target_metrics.clone().with_targets(targets);
        self
    }

    /// What the quota reports to, unless another has been put into its slot: to
    /// [look](QuotaMetrics::look) at how full it is, which nobody reports.
    pub const fn quota_metrics(&self) -> &QuotaMetrics {
        &self.fixed.quota_metrics
    }

    #[cfg(feature = "config")]
    pub(crate) const fn target_metrics(&self) -> &TargetMetrics {
        &self.fixed.target_metrics
    }

    /// Says what the layers in the slots report to.
    #[cfg(feature = "config")]
    pub(crate) fn with_metrics(mut self, target: TargetMetrics, quota: QuotaMetrics) -> Self {
        self.fixed.target_metrics = target;
        self.fixed.quota_metrics = quota;
        self
    }

    /// Goes on with the metrics of another stack, and so with the targets that have labels of their own.
    #[cfg(feature = "config")]
    pub(crate) fn with_metrics_of(mut self, other: &Self) -> Self {
        self.fixed.request_metrics = other.fixed.request_metrics.clone();
        self.fixed.attempt_metrics = other.fixed.attempt_metrics.clone();
        self
    }

    /// The layer in the fallback's slot.
    pub const fn fallback(&self) -> &F {
        &self.fallback
    }

    /// The layer in the retry's slot.
    pub const fn retry(&self) -> &R {
        &self.retry
    }

    /// The layer in the circuit breaker's slot.
    pub const fn breaker(&self) -> &B {
        &self.breaker
    }

    /// The layer in the quota's slot.
    pub const fn quota(&self) -> &Q {
        &self.quota
    }
}

impl<S, F, R, B, Q> Layer<S> for StandardStack<F, R, B, Q>
where
    Q: Layer<Attempt<S>>,
    B: Layer<Q::Service>,
    R: Layer<B::Service>,
    F: Layer<R::Service>,
{
    type Service = Request<F::Service>;

    fn layer(&self, leaf: S) -> Self::Service {
        let Self {
            fallback,
            retry,
            breaker,
            quota,
            fixed,
        } = self;
        // Read from the bottom: the order in which a call meets them.
        let service = fixed.attempt_timeout.layer(leaf);
        let service = TraceLayer::attempts().layer(service);
        let service = fixed.attempt_metrics.layer(service);
        let service = quota.layer(service);
        let service = breaker.layer(service);
        let service = retry.layer(service);
        let service = fallback.layer(service);
        let service = fixed.request_timeout.layer(service);
        let service = TraceLayer::requests().layer(service);
        fixed.request_metrics.layer(service)
    }
}
