use std::sync::Arc;

use rand::Rng;
use tokio::time::Instant;
use tower_bedrock_core::Target;
use tower_layer::Layer;

use crate::{Budget, Policy, Retry, budget::Budgets, random::Random};

/// Retries the calls of the service it is put around.
///
/// ```
/// use rand::{SeedableRng, rngs::StdRng};
/// use tower_bedrock_retry::{Policy, RetryLayer};
///
/// let layer = RetryLayer::default();
///
/// // A test draws the same delays every time.
/// let layer = RetryLayer::builder(Policy::default())
///     .rng(StdRng::seed_from_u64(7))
///     .build();
/// ```
///
/// # Clone
///
/// Clones, and all services made by them, share the retry budgets, the source of randomness and the
/// observer.
#[derive(Debug)]
pub struct RetryLayer<O = ()> {
    shared: Arc<Shared<O>>,
}

/// Builds a [`RetryLayer`].
#[derive(Debug)]
#[must_use]
pub struct RetryLayerBuilder<O = ()> {
    policy: Policy,
    budget: Option<Budget>,
    random: Random,
    observer: O,
}

#[derive(Debug)]
pub(crate) struct Shared<O> {
    pub(crate) policy: Policy,
    pub(crate) budgets: Option<Budgets>,
    pub(crate) random: Random,
    pub(crate) observer: O,
}

impl RetryLayer {
    /// Retries by `policy`, with the default [`Budget`].
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::builder(policy).build()
    }

    /// Starts from `policy`, the default [`Budget`], the thread's own randomness and no observer.
    pub fn builder(policy: Policy) -> RetryLayerBuilder {
        RetryLayerBuilder {
            policy,
            budget: Some(Budget::default()),
            random: Random::default(),
            observer: (),
        }
    }
}

impl<O> RetryLayer<O> {
    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// The observer.
    #[must_use]
    pub fn observer(&self) -> &O {
        &self.shared.observer
    }

    /// How many retries the budget of `target` has left at this moment; `None` where there is no budget.
    #[must_use]
    pub fn budget_left(&self, target: &Target) -> Option<u32> {
        let budgets = self.shared.budgets.as_ref()?;
        Some(budgets.left(target, Instant::now()))
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

/// Clones the handle: the observer need not be [`Clone`].
impl<O> Clone for RetryLayer<O> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, O> Layer<S> for RetryLayer<O> {
    type Service = Retry<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::clone(&self.shared))
    }
}

// === impl RetryLayerBuilder ===

impl<O> RetryLayerBuilder<O> {
    /// Sets the retry budget, or none with `None`. Default: [`Budget::default`].
    pub fn budget(mut self, budget: impl Into<Option<Budget>>) -> Self {
        self.budget = budget.into();
        self
    }

    /// Sets the source of the jitter's randomness, that all calls draw from in turn. Default: the
    /// thread's own generator.
    pub fn rng(mut self, rng: impl Rng + Send + 'static) -> Self {
        self.random = Random::injected(rng);
        self
    }

    /// Sets who is told what happens to calls. Default: nobody.
    pub fn observer<P>(self, observer: P) -> RetryLayerBuilder<P> {
        RetryLayerBuilder {
            policy: self.policy,
            budget: self.budget,
            random: self.random,
            observer,
        }
    }

    /// The layer.
    #[must_use]
    pub fn build(self) -> RetryLayer<O> {
        RetryLayer {
            shared: Arc::new(Shared {
                policy: self.policy,
                budgets: self.budget.as_ref().map(Budgets::new),
                random: self.random,
                observer: self.observer,
            }),
        }
    }
}
