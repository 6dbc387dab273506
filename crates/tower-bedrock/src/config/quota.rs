use serde::Deserialize;
use tower_bedrock_core::{BoxError, Burndown};
use tower_bedrock_quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern};

/// One `[[quota]]`: the limits of the keys that it matches. The first that matches decides.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct QuotaConfig {
    /// A glob over base models (no cross-Region prefix). Default: every model.
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
}

pub(super) fn build(quotas: &[QuotaConfig]) -> Result<QuotaLayer, BoxError> {
    let mut table = LimitTable::new();
    let mut burndown = Burndown::default();
    // Of limits the first that matches decides, of burndown rates the one added last.
    for quota in quotas {
        let model = quota.model.as_deref().unwrap_or("*");
        let region = quota.region.as_deref().unwrap_or("*");
        if let Some(tokens) = quota.tokens_per_day {
            if quota.model.is_some() {
                let why = "tokens_per_day is of a whole Region: expected no model beside it";
                return Err(format!("{why}, found {model:?}").into());
            }
            table = table.with_tokens_per_day(region, tokens);
        }
        if quota.requests_per_minute.is_some() || quota.tokens_per_minute.is_some() {
            let limits = Limits::new()
                .with_requests_per_minute(quota.requests_per_minute)
                .with_tokens_per_minute(quota.tokens_per_minute);
            table = table.with(QuotaPattern::model(model).in_region(region), limits);
        }
    }
    for quota in quotas.iter().rev() {
        if let Some(rate) = quota.burndown {
            burndown = burndown.with_rate(quota.model.as_deref().unwrap_or("*"), rate)?;
        }
    }
    let limiter = Limiter::builder()
        .limits(table)
        .burndown(burndown)
        .build()?;
    Ok(QuotaLayer::new(limiter))
}
