use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock_cloudwatch::policy::TargetMetrics;
use tower_bedrock_core::BoxError;
use tower_bedrock_retry::{Backoff, Budget, Plan, Policy, RetryLayer, Schedule};

use crate::metrics::RetryMetrics;

/// `[retry]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryConfig {
    /// Whether calls are tried again; `false` is as one attempt. Default: true.
    pub enabled: bool,
    /// Attempts in all. Default: 5.
    pub max_attempts: u32,
    /// The first retry waits up to this, each further one up to twice as long. Default: 1 s. Kinds of fault
    /// that recover more slowly start at twice this.
    #[serde(with = "humantime_serde")]
    pub base_delay: Duration,
    /// No delay is longer. Default: 60 s.
    #[serde(with = "humantime_serde")]
    pub max_delay: Duration,
    /// Retries per successful call, over time. Default: 0.2.
    pub budget: f64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_attempts: 5,
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            budget: 0.2,
        }
    }
}

impl RetryConfig {
    pub(super) fn build(
        &self,
        metrics: TargetMetrics,
    ) -> Result<RetryLayer<RetryMetrics>, BoxError> {
        if !(0.0..=1.0).contains(&self.budget) {
            return Err(format!("budget is {}: expected 0.0 to 1.0", self.budget).into());
        }
        // In range, so the cast is exact enough.
        let budget = Budget::builder()
            .percent((self.budget * 100.0).round() as u32)
            .build()?;
        let policy = Policy::builder()
            .max_attempts(if self.enabled { self.max_attempts } else { 1 })
            .plan(self.plan()?)
            .build()?;
        let layer = RetryLayer::builder(policy).budget(budget);
        Ok(layer.observer(RetryMetrics::from(metrics)).build())
    }

    /// The default plan at another pace: its proportions say what is known of each kind of fault.
    fn plan(&self) -> Result<Plan, BoxError> {
        let (base, cap) = (self.base_delay, self.max_delay);
        if base.is_zero() || cap < base {
            return Err(format!("base_delay is {base:?} and max_delay {cap:?}: expected more than 0s, and no less than base_delay").into());
        }
        let usual = Duration::from_secs(1);
        let mut plan = Plan::default();
        for (kind, schedule) in Plan::default().iter() {
            let factor = schedule.backoff().base().div_duration_f64(usual);
            let base = Duration::try_from_secs_f64(base.as_secs_f64() * factor)
                .unwrap_or(cap)
                .min(cap);
            let backoff = Backoff::new(base, cap)?.with_jitter(schedule.backoff().jitter());
            let paced = Schedule::new(backoff)
                .with_immediate(schedule.immediate())
                .with_alignment(schedule.is_aligned());
            plan = plan.with(kind, paced);
        }
        Ok(plan)
    }
}
