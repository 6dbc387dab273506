use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock_core::{BoxError, ServiceTier};
use tower_bedrock_fallback::{Alternative, Chain};

/// One `[[fallback]]`: the alternatives to a model.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FallbackConfig {
    /// The id that calls name. Default: every model without a chain of its own.
    pub model: Option<String>,
    /// The alternatives, in the order they are tried: 1 to 15.
    pub chain: Vec<AlternativeConfig>,
    /// The geography that no alternative may leave. Default: none.
    pub within: Option<String>,
    /// How long a hop has to answer before the next is tried. Default: as long as the request has.
    #[serde(with = "humantime_serde")]
    pub hop_timeout: Option<Duration>,
}

/// One alternative: what it does not name stays as it was asked for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AlternativeConfig {
    /// Another model or inference profile.
    pub model: Option<String>,
    /// Another Region.
    pub region: Option<String>,
    /// Another service tier: priority, default, flex or reserved.
    pub service_tier: Option<String>,
}

impl FallbackConfig {
    pub(super) fn build(&self) -> Result<Chain, BoxError> {
        let mut chain = match &self.model {
            Some(model) => Chain::new(model.parse()?),
            None => Chain::for_any_model(),
        };
        for alternative in &self.chain {
            chain = chain.or(alternative.build()?);
        }
        if let Some(within) = &self.within {
            chain = chain.within(within.parse()?);
        }
        if let Some(timeout) = self.hop_timeout {
            chain = chain.hop_timeout(timeout);
        }
        Ok(chain)
    }
}

impl AlternativeConfig {
    fn build(&self) -> Result<Alternative, BoxError> {
        let tier = self
            .service_tier
            .as_deref()
            .map(str::parse::<ServiceTier>)
            .transpose()?;
        let alternative = match (&self.model, &self.region, tier) {
            (Some(model), None, _) => Alternative::model(model.parse()?),
            (Some(model), Some(region), _) => {
                Alternative::model(model.parse()?).in_region(region.parse()?)
            }
            (None, Some(region), _) => Alternative::region(region.parse()?),
            (None, None, Some(tier)) => Alternative::service_tier(tier),
            (None, None, None) => {
                return Err(
                    "chain has an empty alternative: expected a model, a region or a service_tier"
                        .into(),
                );
            }
        };
        Ok(match tier {
            Some(tier) => alternative.in_service_tier(tier),
            None => alternative,
        })
    }
}
