mod edge;
mod slots;

use tokio::time::Duration;
use tower::layer::util::Identity;
use tower_bedrock_breaker::{CircuitBreakerLayer, FaultClass};
use tower_bedrock_cloudwatch::policy::TargetMetrics;
use tower_bedrock_core::BoxError;
use tower_bedrock_fallback::{Chain, FallbackLayer, InvalidChain};
use tower_bedrock_quota::{Limiter, QuotaLayer};
use tower_bedrock_retry::{Policy, RetryLayer};
use tower_layer::Layer;

pub use self::edge::Edge;
use crate::metrics::{BreakerMetrics, QuotaMetrics, RetryMetrics};

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
///   (cache)              by `with_cache`: what is kept stands in for whatever fails inside
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
/// Each layer has a slot. `with_*` puts a layer of your own into it, another type or another setting;
/// `without_*` leaves it empty:
///
/// | slot | swapped | left out |
/// |---|---|---|
/// | fallback | [`with_chains`](Self::with_chains), [`with_fallback`](Self::with_fallback) | as it comes |
/// | retry | [`with_retry`](Self::with_retry) | [`without_retry`](Self::without_retry) |
/// | breaker | [`with_breaker`](Self::with_breaker) | [`without_breaker`](Self::without_breaker) |
/// | quota | [`with_quota`](Self::with_quota) | [`without_quota`](Self::without_quota) |
/// | cache | [`with_cache`](Self::with_cache) | as it comes |
/// | timeouts | [`with_request_timeout`](Self::with_request_timeout), [`with_attempt_timeout`](Self::with_attempt_timeout) | [`without_timeouts`](Self::without_timeouts) |
/// | metrics | [`with_request_metrics`](Self::with_request_metrics), [`with_attempt_metrics`](Self::with_attempt_metrics) | [`without_metrics`](Self::without_metrics) |
/// | spans | [`with_request_trace`](Self::with_request_trace), [`with_attempt_trace`](Self::with_attempt_trace) | [`without_trace`](Self::without_trace) |
///
/// The slots' types are the parameters, the policies' in the order a call meets them and then the two [`Edge`]s, so
/// the whole can be named: `<StandardStack as Layer<MyLeaf>>::Service`. Box it with
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
    O = Edge,
    A = Edge,
> {
    fallback: F,
    retry: R,
    breaker: B,
    quota: Q,
    /// Around all policies.
    request: O,
    /// Around the leaf, inside all policies.
    attempt: A,
    reports: Reports,
}

/// What the policies report to, unless others have been put into their slots.
#[derive(Clone, Debug)]
struct Reports {
    /// The retry layer and the circuit breaker.
    target: TargetMetrics,
    quota: QuotaMetrics,
}

impl StandardStack {
    /// The default: retry, breaker and quota with their own defaults, 300 seconds for a request and 120 for an
    /// attempt, and no fallback, which needs to be told the alternatives.
    ///
    /// The quota knows no limits yet and learns them from the throttles it meets; tell it yours with
    /// [`with_quota`](Self::with_quota). The breaker leaves throttles to it
    /// ([`FaultClass::ignoring_throttles`]); a stack [without a quota](Self::without_quota) may want one
    /// [that counts them](Self::with_breaker).
    ///
    /// # Errors
    ///
    /// [`BoxError`] where a default is out of its range, which a test makes sure of.
    pub fn new() -> Result<Self, BoxError> {
        let target = TargetMetrics::new();
        let quota = QuotaMetrics::new();
        Ok(Self {
            fallback: Identity::new(),
            retry: RetryLayer::builder(Policy::default())
                .observer(RetryMetrics::from(target.clone()))
                .build(),
            breaker: CircuitBreakerLayer::builder()
                .classify(FaultClass::ignoring_throttles)
                .observer(BreakerMetrics::from(target.clone()))
                .build()?,
            quota: QuotaLayer::new(Limiter::builder().observe(quota.clone()).build()?),
            request: Edge::requests(),
            attempt: Edge::attempts(),
            reports: Reports { target, quota },
        })
    }
}

/// How long a hop may make a call wait before the next is asked: longer than a quota's hiccup, shorter than
/// anybody's patience.
const LATENCY_BUDGET: Duration = Duration::from_secs(2);

impl<F, R, O, A> StandardStack<F, R, CircuitBreakerLayer, QuotaLayer, O, A> {
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
    ) -> Result<StandardStack<FallbackLayer, R, CircuitBreakerLayer, QuotaLayer, O, A>, InvalidChain>
    {
        let headroom = (self.breaker.handle(), self.quota.limiter().clone());
        let fallback = FallbackLayer::new(chains)?.skip_without_headroom(headroom, LATENCY_BUDGET);
        Ok(self.with_fallback(fallback))
    }
}

impl<F, R, B, Q, O, A> StandardStack<F, R, B, Q, O, A> {
    /// What the quota reports to, unless another has been put into its slot: to
    /// [look](QuotaMetrics::look) at how full it is, which nobody reports.
    pub const fn quota_metrics(&self) -> &QuotaMetrics {
        &self.reports.quota
    }

    /// What the retry layer and the circuit breaker report to, unless others have been put into their slots: for what
    /// else has something to tell of targets, such as a cache.
    pub const fn target_metrics(&self) -> &TargetMetrics {
        &self.reports.target
    }

    /// Says what the layers in the slots report to.
    #[cfg(feature = "config")]
    pub(crate) fn reporting_to(mut self, target: TargetMetrics, quota: QuotaMetrics) -> Self {
        self.reports = Reports { target, quota };
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

impl<S, F, R, B, Q, O, A> Layer<S> for StandardStack<F, R, B, Q, O, A>
where
    A: Layer<S>,
    Q: Layer<A::Service>,
    B: Layer<Q::Service>,
    R: Layer<B::Service>,
    F: Layer<R::Service>,
    O: Layer<F::Service>,
{
    type Service = O::Service;

    fn layer(&self, leaf: S) -> Self::Service {
        // Read from the bottom: the order in which a call meets them.
        let service = self.attempt.layer(leaf);
        let service = self.quota.layer(service);
        let service = self.breaker.layer(service);
        let service = self.retry.layer(service);
        let service = self.fallback.layer(service);
        self.request.layer(service)
    }
}
