//! The standard stack from the sections of a configuration file.
//!
//! ```
//! use tower_bedrock::config::StackConfig;
//!
//! let config: StackConfig = toml::from_str(r#"
//!     [retry]
//!     max_attempts = 5          # 1 to 1000, the first one included; 1 never retries
//!     base_delay = "1s"         # more than 0s; the first retry waits up to this, the next up to twice that ...
//!     max_delay = "60s"         # no delay is longer
//!     budget = 0.2              # 0.0 to 1.0: retries per successful call, over time
//!
//!     [breaker]
//!     consecutive_failures = 5  # opens after so many in a row; 0: no row opens it
//!     open_for = "60s"          # 1ms to 365 days
//!     half_open_probes = 1      # 1 to 65536
//!     failure_rate = 0.5        # opens at this share of failed calls ...
//!     window = 100              # ... among the last so many: 1 to 65536
//!     count_throttles = false   # for that share; the quota learns from them
//!
//!     [timeout]
//!     attempt = "120s"          # one call to Bedrock
//!     request = "300s"          # everything: waits, retries and fallbacks
//!     first_event = "30s"       # one call to Bedrock, until the first content of a stream
//!     quota = "61s"             # waiting for a quota: up to 1 day; what would wait longer is refused at once
//!
//!     [[quota]]
//!     model = "anthropic.claude-sonnet-4-*"  # a glob over base models; "*" by default
//!     region = "us-east-1"      # a glob; "*" by default
//!     tokens_per_minute = 200000
//!     requests_per_minute = 200
//!     burndown = 5              # what one output token counts; AWS's published rates by default
//!     window = "sliding"        # how Bedrock counts: "sliding" (safe in any case), "fixed" or "bucket"
//!
//!     [[fallback]]
//!     model = "us.anthropic.claude-sonnet-4-20250514-v1:0"  # left out: every model without a chain of its own
//!     chain = [{ region = "us-west-2" }, { model = "us.amazon.nova-pro-v1:0" }]
//!     within = "us"             # refuse what could leave this geography
//!     hop_timeout = "20s"       # cancel a hop that has not answered
//! "#)?;
//! let stack = config.build()?;
//! # let _ = stack;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! Every section and every key may be left out; the values above are the defaults of those that have one.
//! `enabled = false` in `[retry]` or `[breaker]` switches that policy off; without a `[[quota]]` no call waits for
//! one, and a `[[quota]]` without limits learns them from the throttles it meets. A key that is not known is an
//! error, and so is a value out of its range: the message names the section, the key, the value and what is
//! accepted.
//!
//! `tokens_per_day` in a `[[quota]]` is Bedrock's account-wide quota of a Region, which all models share, so it
//! goes with `region` and without `model`.

mod breaker;
mod fallback;
#[cfg(feature = "redis")]
mod fleet;
mod quota;
mod retry;
mod targets;
mod timeout;

use serde::Deserialize;
use tower_bedrock_breaker::CircuitBreakerLayer;
use tower_bedrock_core::{BoxError, Region, Tenant};
use tower_bedrock_fallback::FallbackLayer;
use tower_bedrock_quota::QuotaLayer;
use tower_bedrock_retry::RetryLayer;

use crate::{StandardStack, metrics::RetryMetrics};

#[cfg(feature = "redis")]
pub use self::fleet::{FleetConfig, RenewEvery};
pub use self::{
    breaker::BreakerConfig,
    fallback::{AlternativeConfig, FallbackConfig},
    quota::{QuotaConfig, WindowConfig},
    retry::RetryConfig,
    timeout::TimeoutConfig,
};

/// The sections that describe a standard stack. See the [module's documentation](self) for all keys.
///
/// To read it together with sections of your own, `#[serde(flatten)]` does not go with
/// `deny_unknown_fields`: name the fields of this struct in yours and build it from them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct StackConfig {
    /// `[retry]`
    pub retry: RetryConfig,
    /// `[breaker]`
    pub breaker: BreakerConfig,
    /// `[timeout]`
    pub timeout: TimeoutConfig,
    /// `[[quota]]`
    pub quota: Vec<QuotaConfig>,
    /// `[[fallback]]`
    pub fallback: Vec<FallbackConfig>,
    /// What each tenant's share of a quota is in proportion to, 1 to 1000: 1 for those who are not named here. Not
    /// in the file under this name, since who the tenants are is the application's to know.
    #[serde(skip)]
    pub shares: Vec<(Tenant, u32)>,
    /// The Regions that calls name, where the application knows them. The models that this configuration names have
    /// labels of their own in metrics then, from the beginning, whatever models are called first.
    #[serde(skip)]
    pub regions: Vec<Region>,
    /// The fleet that quotas are shared with. Not in the file under this name, since its worker has to be spawned:
    /// [`FleetConfig`] is what a file may have.
    #[cfg(feature = "redis")]
    #[serde(skip)]
    pub fleet: Option<tower_bedrock_quota::fleet::Fleet>,
}

/// A standard stack from a configuration. All its layers are there whatever the configuration says, so that it is
/// one type, which compiles in reasonable time; a policy that is switched off lets every call through.
pub type ConfiguredStack = StandardStack<FallbackLayer>;

/// A section that cannot be right.
#[derive(Debug, thiserror::Error)]
#[error("[{section}] {error}")]
pub struct InvalidSection {
    section: &'static str,
    #[source]
    error: BoxError,
}

impl InvalidSection {
    fn of<E: Into<BoxError>>(section: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self {
            section,
            error: error.into(),
        }
    }
}

impl StackConfig {
    /// The stack. Its fallback asks its breaker and its quota before it sends a call to a hop.
    ///
    /// # Errors
    ///
    /// [`InvalidSection`] names the first section that cannot be right, and why.
    pub fn build(&self) -> Result<ConfiguredStack, InvalidSection> {
        self.build_with(Kept::default())
    }

    /// The stack to go on with where `stack` was built of `previous`, for a program that reads its configuration
    /// anew while it runs. It shares the state of what has not changed: a breaker that is open stays so, a retry
    /// budget keeps its balance, a quota its level. A quota keeps its level also where only limits and shares have
    /// changed, and then `stack` takes the new ones as well.
    ///
    /// # Errors
    ///
    /// [`InvalidSection`] names the first section that cannot be right, and why; nothing has changed then.
    pub fn rebuild(
        &self,
        previous: &Self,
        stack: &ConfiguredStack,
    ) -> Result<ConfiguredStack, InvalidSection> {
        let keep_quota = quota::a_limiter_can_go_on(self, previous);
        let rebuilt = self.build_with(Kept {
            retry: (self.retry == previous.retry).then(|| stack.retry().clone()),
            breaker: (self.breaker == previous.breaker).then(|| stack.breaker().clone()),
            quota: keep_quota.then(|| stack.quota().clone()),
            stack: Some(stack),
        })?;
        if keep_quota && (self.quota != previous.quota || self.shares != previous.shares) {
            quota::update(rebuilt.quota().limiter(), self)
                .map_err(InvalidSection::of("[quota]"))?;
        }
        Ok(rebuilt)
    }

    fn build_with(&self, kept: Kept<'_>) -> Result<ConfiguredStack, InvalidSection> {
        let targets = targets::named(self);
        let (attempt, request) = self
            .timeout
            .build()
            .map_err(InvalidSection::of("timeout"))?;
        // What is kept reports to the metrics that it was made with, so those have to be kept as well.
        let target_metrics = kept.stack.map(ConfiguredStack::target_metrics).cloned();
        let target_metrics = match &kept.breaker {
            Some(_) => target_metrics.unwrap_or_default(),
            None => target_metrics.unwrap_or_default().with_breakers_anew(),
        };
        let retry = match kept.retry {
            Some(retry) => retry,
            None => self
                .retry
                .build(target_metrics.clone())
                .map_err(InvalidSection::of("retry"))?,
        };
        let breaker = match kept.breaker {
            Some(breaker) => breaker,
            None => self
                .breaker
                .build(target_metrics.clone())
                .map_err(InvalidSection::of("breaker"))?,
        };
        let quota_metrics = kept.stack.map(ConfiguredStack::quota_metrics).cloned();
        let quota_metrics = quota_metrics.unwrap_or_default().with_targets(&targets);
        let quota = match kept.quota {
            Some(quota) => quota,
            None => {
                quota::build(self, quota_metrics.clone()).map_err(InvalidSection::of("[quota]"))?
            }
        };
        let chains = self.fallback.iter().map(FallbackConfig::build);
        let chains: Vec<_> = chains
            .collect::<Result<_, _>>()
            .map_err(InvalidSection::of("[fallback]"))?;
        let stack = StandardStack::new().map_err(InvalidSection::of("defaults"))?;
        let stack = stack
            .with_retry(retry)
            .with_breaker(breaker)
            .with_quota(quota)
            .with_chains(chains)
            .map_err(InvalidSection::of("[fallback]"))?
            .reporting_to(target_metrics, quota_metrics)
            .with_attempt_timeout(attempt)
            .with_request_timeout(request);
        let stack = match kept.stack {
            Some(previous) => stack.with_metrics_of(previous),
            None => stack,
        };
        Ok(stack.with_targets(targets))
    }
}

/// An earlier stack, and those of its layers whose state is kept.
#[derive(Default)]
struct Kept<'a> {
    stack: Option<&'a ConfiguredStack>,
    retry: Option<RetryLayer<RetryMetrics>>,
    breaker: Option<CircuitBreakerLayer>,
    quota: Option<QuotaLayer>,
}
