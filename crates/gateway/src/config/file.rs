//! The file as it is written: shapes and types only.

use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock::config::{
    BreakerConfig, FallbackConfig, FleetConfig, QuotaConfig, RetryConfig, TimeoutConfig,
};

use super::{CacheConfig, InvalidConfig, Server, Tls};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) upstream: Upstream,
    pub(super) client: Vec<Client>,
    pub(super) server: Server,
    pub(super) retry: RetryConfig,
    pub(super) breaker: BreakerConfig,
    pub(super) timeout: TimeoutConfig,
    pub(super) quota: Vec<QuotaConfig>,
    pub(super) fallback: Vec<FallbackConfig>,
    pub(super) fleet: Option<FleetConfig>,
    pub(super) cache: Option<CacheConfig>,
    pub(super) metrics: Option<Metrics>,
    pub(super) cloudwatch: Option<CloudWatch>,
    pub(super) otlp: Option<Otlp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Upstream {
    pub(super) kind: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) sim_listen: Option<String>,
    pub(super) regions: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CloudWatch {
    pub(super) namespace: Option<String>,
    #[serde(with = "humantime_serde")]
    pub(super) period: Option<Duration>,
    pub(super) region: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Otlp {
    pub(super) endpoint: Option<String>,
    pub(super) service_name: Option<String>,
    pub(super) sample_ratio: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) key_sha256: String,
    pub(super) priority: Option<String>,
    pub(super) share: Option<u32>,
}

impl File {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidConfig> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            InvalidConfig::syntax(&place(text, at), error.message())
        })
    }
}

/// The line, and the key where there is one. The value stays out: this may be a secret in the wrong place.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    match line.split_once('=') {
        Some((key, _)) => format!("line {number}, {}", key.trim()),
        None => format!("line {number}"),
    }
}
