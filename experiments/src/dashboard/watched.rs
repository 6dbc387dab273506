use anyhow::{Result, anyhow};
use bedrock_sim::{SimulatedError, Simulator};
use tower::{Layer, ServiceExt, util::BoxCloneService};
use tower_bedrock::{
    BoxError, HasFault, Priority, StandardStack,
    breaker::CircuitBreakerLayer,
    fallback::{Alternative, Chain, FallbackLayer},
    metrics::{BreakerMetrics, QuotaMetrics, RetryMetrics},
    quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern},
    retry::{Policy, RetryLayer},
};
use tower_bedrock_cloudwatch::policy::TargetMetrics;

use super::TOKENS_PER_MINUTE;
use crate::{
    job::{Job, Subject},
    run::randomness,
    world,
};

/// The standard stack as it comes, told the quotas and the model to fall back to; seeded, and every policy watched.
pub(super) fn subject(
    simulator: &Simulator,
    metrics: &QuotaMetrics,
    seed: u64,
) -> Result<(Subject, Limiter)> {
    let target = world::target(world::PRIMARY)?;
    let limits = Limits::new().with_tokens_per_minute(TOKENS_PER_MINUTE);
    let limiter = Limiter::builder()
        .limits(LimitTable::new().with(QuotaPattern::any(), limits))
        .observe(metrics.clone())
        .build()?;
    let watched = TargetMetrics::new().with_targets([target.clone()]);
    let breaker = CircuitBreakerLayer::builder()
        .seed(seed)
        .observer(BreakerMetrics::from(watched.clone()))
        .build()?;
    let retry = RetryLayer::builder(Policy::default())
        .rng(randomness(seed, 200))
        .observer(RetryMetrics::from(watched))
        .build();
    let chain = Chain::new(target.model().clone()).or(Alternative::model(world::FALLBACK.parse()?));
    let stack = StandardStack::new()
        .map_err(|error: BoxError| anyhow!(error))?
        .with_targets([target.clone()])
        .with_fallback(FallbackLayer::new([chain])?)
        .with_retry(retry)
        .with_breaker(breaker)
        .with_quota(QuotaLayer::new(limiter.clone()));
    let subject = stack
        .layer(simulator.service())
        .map_request(move |job: Job| job.to(&target, Priority::Normal))
        .map_response(|_| ())
        .map_err(|error: SimulatedError| error.fault().kind());
    Ok((BoxCloneService::new(subject), limiter))
}
