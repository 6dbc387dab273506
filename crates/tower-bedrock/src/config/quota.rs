use serde::Deserialize;
use tower_bedrock_core::{BoxError, Burndown, InvalidBurndown};
use tower_bedrock_quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern, Window};

use super::StackConfig;
use crate::metrics::QuotaMetrics;

/// One `[[quota]]`: the limits of the keys that it matches. The first that matches decides.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct QuotaConfig {
    /// A glob over base models. With a cross-Region prefix (`us.`, `global.`, ...) its limits are those of the
    /// model called that way; a burndown rate holds for every way. Default: every model.
    pub model: Option<String>,
    /// A glob over Regions. Default: every Region.
    pub region: Option<String>,
    /// Requests a minute. Default: not known.
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, as Bedrock counts them. Default: not known.
    pub tokens_per_minute: Option<u64>,
    /// Tokens a day of the whole Region. Default: not known.
    pub tokens_per_day: Option<u64>,
    /// What one output token counts. Default: AWS's published rate.
    pub burndown: Option<u32>,
    /// How Bedrock counts a limit's use over time. Default: `sliding`, which is safe however it does.
    pub window: WindowConfig,
}

/// The shape of a limit's [`Window`].
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WindowConfig {
    /// [`Window::Sliding`]
    #[default]
    Sliding,
    /// [`Window::Fixed`]
    Fixed,
    /// [`Window::Bucket`]
    Bucket,
}

pub(super) fn build(config: &StackConfig, metrics: QuotaMetrics) -> Result<QuotaLayer, BoxError> {
    let quotas = &config.quota;
    let mut limiter = Limiter::builder()
        .limits(limits(quotas)?)
        .burndown(burndown(quotas)?)
        .observe(metrics)
        .max_wait(config.timeout.quota)
        // Without a `[[quota]]` nobody has asked for calls to wait.
        .learn(!quotas.is_empty());
    for (tenant, share) in &config.shares {
        limiter = limiter.tenant_weight(tenant.clone(), *share);
    }
    #[cfg(feature = "redis")]
    if let Some(fleet) = &config.fleet {
        limiter = limiter.fleet(fleet.clone());
    }
    Ok(QuotaLayer::new(limiter.build()?))
}

/// Gives a limiter that runs the limits and the shares of another configuration: both or neither.
pub(super) fn update(limiter: &Limiter, config: &StackConfig) -> Result<(), BoxError> {
    let limits = limits(&config.quota)?;
    Limiter::new(limits.clone())?;
    limiter.set_tenant_weights(config.shares.iter().cloned())?;
    limiter.set_limits(limits)?;
    Ok(())
}

/// Of limits the first that matches decides.
pub(super) fn limits(quotas: &[QuotaConfig]) -> Result<LimitTable, BoxError> {
    let mut table = LimitTable::new();
    for quota in quotas {
        let model = quota.model();
        let region = quota.region.as_deref().unwrap_or("*");
        if let Some(tokens) = quota.tokens_per_day {
            if quota.model.is_some() {
                let why = "tokens_per_day is of a whole Region: expected no model beside it";
                return Err(format!("{why}, found {model:?}").into());
            }
            table = table.with_tokens_per_day_in(quota.window.into(), region, tokens);
        }
        if quota.requests_per_minute.is_some() || quota.tokens_per_minute.is_some() {
            let limits = Limits::new()
                .with_requests_per_minute(quota.requests_per_minute)
                .with_tokens_per_minute(quota.tokens_per_minute)
                .with_window(quota.window.into());
            table = table.with(QuotaPattern::model(model).in_region(region), limits);
        }
    }
    Ok(table)
}

/// Of burndown rates the one added last decides.
fn burndown(quotas: &[QuotaConfig]) -> Result<Burndown, InvalidBurndown> {
    rates(quotas)
        .rev()
        .try_fold(Burndown::default(), |burndown, (model, rate)| {
            burndown.with_rate(model, rate)
        })
}

/// Whether quotas differ in nothing but limits and shares, which a limiter takes while it runs.
pub(super) fn a_limiter_can_go_on(one: &StackConfig, other: &StackConfig) -> bool {
    #[cfg(feature = "redis")]
    if one.fleet != other.fleet {
        return false;
    }
    one.timeout.quota == other.timeout.quota
        && one.quota.is_empty() == other.quota.is_empty()
        && rates(&one.quota).eq(rates(&other.quota))
}

fn rates(quotas: &[QuotaConfig]) -> impl DoubleEndedIterator<Item = (&str, u32)> {
    quotas
        .iter()
        .filter_map(|quota| Some((quota.model(), quota.burndown?)))
}

impl From<WindowConfig> for Window {
    fn from(window: WindowConfig) -> Self {
        match window {
            WindowConfig::Sliding => Self::Sliding,
            WindowConfig::Fixed => Self::Fixed,
            WindowConfig::Bucket => Self::Bucket,
        }
    }
}

impl QuotaConfig {
    fn model(&self) -> &str {
        self.model.as_deref().unwrap_or("*")
    }
}
