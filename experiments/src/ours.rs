//! Ours: the standard stack around the simulator, with slots left empty to see what each policy buys.

use anyhow::{Result, anyhow};
use bedrock_sim::{SimulatedError, Simulator};
use tokio::time::Duration;
use tower::{Layer, ServiceExt, util::BoxCloneService};
use tower_bedrock::{
    BoxError, HasFault, Priority, StandardStack, Target,
    breaker::{CircuitBreakerBuilder, CircuitBreakerLayer, FaultClass},
    fallback::{Alternative, Chain, FallbackLayer},
    quota::{LimitTable, Limiter, LimiterBuilder, Limits, QuotaLayer, QuotaPattern, Window},
    retry::{Budget, Policy, RetryLayer},
    timeout::TimeoutLayer,
};

use crate::{
    job::{Job, Subject},
    run::randomness,
    slot::Slot,
};

/// Which layers there are, and how they are set.
#[derive(Debug)]
pub struct Ours {
    simulator: Simulator,
    target: Target,
    seed: u64,
    attempt_timeout: TimeoutLayer,
    retry: Option<(Policy, Option<Budget>)>,
    breaker: Option<fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder>,
    quota: Option<LimiterBuilder>,
    fallback: Option<(Target, Duration)>,
    priority: fn(&Job) -> Priority,
}

impl Ours {
    /// No policy yet but two minutes for an attempt.
    #[must_use]
    pub const fn new(simulator: Simulator, target: Target, seed: u64) -> Self {
        Self {
            simulator,
            target,
            seed,
            attempt_timeout: TimeoutLayer::ATTEMPT,
            retry: None,
            breaker: None,
            quota: None,
            fallback: None,
            priority: |_| Priority::Normal,
        }
    }

    /// How long an attempt may take.
    ///
    /// # Errors
    ///
    /// Where that is no time at all.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Result<Self> {
        self.attempt_timeout = TimeoutLayer::attempt(timeout)?;
        Ok(self)
    }

    /// Retries, with their default budget.
    #[must_use]
    pub fn retry(self, policy: Policy) -> Self {
        self.retry_with(policy, Some(Budget::default()))
    }

    /// Retries, with a budget or none.
    #[must_use]
    pub fn retry_with(mut self, policy: Policy, budget: Option<Budget>) -> Self {
        self.retry = Some((policy, budget));
        self
    }

    /// Breaks the circuit, as set by `settings`.
    #[must_use]
    pub const fn breaker(
        mut self,
        settings: fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
    ) -> Self {
        self.breaker = Some(settings);
        self
    }

    /// Waits for quota.
    #[must_use]
    pub fn quota(mut self, limiter: LimiterBuilder) -> Self {
        self.quota = Some(limiter);
        self
    }

    /// Falls to another model, before failing where the first is known to keep a call waiting for longer
    /// than `budget`.
    #[must_use]
    pub fn fallback(mut self, target: Target, budget: Duration) -> Self {
        self.fallback = Some((target, budget));
        self
    }

    /// Tells the quota layer how urgent a call is.
    #[must_use]
    pub const fn priority(mut self, priority: fn(&Job) -> Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// What a layer's builder objects to.
    pub fn build(self) -> Result<Subject> {
        let limiter = self.quota.map(LimiterBuilder::build).transpose()?;
        let mut breaker = CircuitBreakerLayer::builder().seed(self.seed);
        if limiter.is_some() {
            // As the standard stack has it.
            breaker = breaker.classify(FaultClass::ignoring_throttles);
        }
        let breaker = self.breaker.map(|set| set(breaker).build()).transpose()?;
        let retry = self.retry.map(|(policy, budget)| {
            let random = randomness(self.seed, 200);
            RetryLayer::builder(policy)
                .budget(budget)
                .rng(random)
                .build()
        });
        let fallback = match self.fallback {
            Some((target, budget)) => {
                let chain = Chain::new(self.target.model().clone())
                    .or(Alternative::model(target.model().clone()));
                let known = (
                    limiter.clone(),
                    breaker.as_ref().map(CircuitBreakerLayer::handle),
                );
                Some(FallbackLayer::new([chain])?.skip_without_headroom(known, budget))
            }
            None => None,
        };
        let stack = StandardStack::new()
            .map_err(|error: BoxError| anyhow!(error))?
            .with_fallback(Slot(fallback))
            .with_retry(Slot(retry))
            .with_breaker(Slot(breaker))
            .with_quota(Slot(limiter.map(QuotaLayer::new)))
            .with_request_timeout(TimeoutLayer::deadline())
            .with_attempt_timeout(self.attempt_timeout);
        let Self {
            target, priority, ..
        } = self;
        let subject = stack
            .layer(self.simulator.service())
            .map_request(move |job: Job| job.to(&target, priority(&job)))
            .map_response(|_| ())
            .map_err(|error: SimulatedError| error.fault().kind());
        Ok(BoxCloneService::new(subject))
    }
}

/// A limiter that is told of so many tokens a minute of every model, in windows of a shape.
pub fn tokens_per_minute(tokens: u64, window: Window) -> LimiterBuilder {
    let limits = Limits::new()
        .with_tokens_per_minute(tokens)
        .with_window(window);
    Limiter::builder().limits(LimitTable::new().with(QuotaPattern::any(), limits))
}

/// A limiter that is told nothing.
pub fn nothing_known() -> LimiterBuilder {
    Limiter::builder()
}
