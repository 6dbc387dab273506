use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock_breaker::{CircuitBreakerLayer, FaultClass, InvalidConfig};
use tower_bedrock_cloudwatch::policy::TargetMetrics;

use crate::metrics::BreakerMetrics;

/// What a setting of the layer is called here.
const KEYS: [(&str, &str); 5] = [
    ("consecutive_failures", "consecutive_failures"),
    ("wait_duration_in_open_state", "open_for"),
    (
        "permitted_number_of_calls_in_half_open_state",
        "half_open_probes",
    ),
    ("failure_rate_threshold", "failure_rate"),
    ("sliding_window", "window"),
];

/// A key that cannot be right.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {error}")]
pub(super) struct InvalidKey {
    key: &'static str,
    error: InvalidConfig,
}

impl From<InvalidConfig> for InvalidKey {
    fn from(error: InvalidConfig) -> Self {
        let known = KEYS
            .iter()
            .find(|(setting, _)| error.field().starts_with(setting));
        let key = known.map_or(error.field(), |(_, key)| key);
        Self { key, error }
    }
}

/// `[breaker]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// Whether it turns calls away; `false` leaves it disabled for every target. Default: true.
    pub enabled: bool,
    /// Opens after so many failures in a row; 0: no row opens it, only the rate does, as where calls are many a second
    /// (see the breaker's documentation). Default: 5.
    pub consecutive_failures: u32,
    /// How long it stays open. Default: 60 s.
    #[serde(with = "humantime_serde")]
    pub open_for: Duration,
    /// Calls let through when that time is over, to find out. Default: 1.
    pub half_open_probes: u32,
    /// Opens at this share of failed calls in the window. Default: 0.5.
    pub failure_rate: f64,
    /// The number of calls the share is taken of. Default: 100.
    pub window: u32,
    /// Whether throttles count for that share. Default: false, as in [`StandardStack::new`](crate::StandardStack::new):
    /// the quota inside learns from them when the next call may be sent, and a breaker that counts them as well stays
    /// open for long after a flood of them.
    pub count_throttles: bool,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive_failures: 5,
            open_for: Duration::from_secs(60),
            half_open_probes: 1,
            failure_rate: 0.5,
            window: 100,
            count_throttles: false,
        }
    }
}

impl BreakerConfig {
    pub(super) fn build(&self, metrics: TargetMetrics) -> Result<CircuitBreakerLayer, InvalidKey> {
        let mut builder = match self.consecutive_failures {
            0 => CircuitBreakerLayer::builder().without_consecutive_failures(),
            failures => CircuitBreakerLayer::builder().consecutive_failures(failures),
        };
        if !self.count_throttles {
            builder = builder.classify(FaultClass::ignoring_throttles);
        }
        let layer = builder
            .wait_duration_in_open_state(self.open_for)
            .permitted_number_of_calls_in_half_open_state(self.half_open_probes)
            .failure_rate_threshold(self.failure_rate * 100.0)
            .sliding_window_size(self.window)
            .observer(BreakerMetrics::from(metrics))
            .build()?;
        if !self.enabled {
            layer.handle().disable_all();
        }
        Ok(layer)
    }
}
