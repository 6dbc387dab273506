use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use serde::Deserialize;
use tower_bedrock_core::Region;

use crate::{BackgroundCaller, FaultSpec, ModelSettings, WindowShape, settings::limit};

/// What the simulator is to be, as its TOML file has it. Every key may be left out.
///
/// ```
/// use bedrock_sim::Config;
///
/// let config = Config::from_toml(
///     r#"
///     listen = "127.0.0.1:9090"
///     time_scale = 60
///
///     [models."us.acme.large-v1:0"]
///     tokens_per_minute = 100_000
///     burndown = 5
///     "#,
/// )?;
/// assert_eq!(config.time_scale, 60.0);
/// # Ok::<(), bedrock_sim::ConfigError>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen: 127.0.0.1:9090.
    pub listen: SocketAddr,
    /// The Region of requests that name none: us-east-1.
    pub region: String,
    /// The seed of all randomness: 0. The same seed and the same calls give the same answers.
    pub seed: u64,
    /// How much faster than the clock simulated time runs: 1.
    pub time_scale: f64,
    /// Whether the built-in models are there: true.
    pub builtin_models: bool,
    /// Who may call.
    pub credentials: Credentials,
    /// Models by id, on top of the built-in ones. As with `PUT /_sim/models/{id}`, the id's prefix names
    /// the route whose quota is set; here it is set in every Region.
    pub models: BTreeMap<String, ModelSettings>,
    /// Quotas of single Regions.
    pub quotas: Vec<QuotaSettings>,
    /// Tokens a day of each Region, across its models: none.
    pub tokens_per_day: Option<u64>,
    /// Other applications of the account, which use up its quota.
    pub background: Vec<BackgroundCaller>,
    /// Faults from the start on.
    pub faults: Vec<FaultSpec>,
    /// How many calls the ledger remembers: 10,000.
    pub ledger_entries: usize,
}

/// The quota of one model in one Region.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaSettings {
    /// The model id; its prefix names the route.
    pub model: String,
    /// The Region.
    pub region: String,
    /// Requests a minute, or `"none"`.
    #[serde(default, deserialize_with = "limit")]
    pub requests_per_minute: Option<Option<u64>>,
    /// Tokens a minute, or `"none"`.
    #[serde(default, deserialize_with = "limit")]
    pub tokens_per_minute: Option<Option<u64>>,
    /// Tokens a day, or `"none"`.
    #[serde(default, deserialize_with = "limit")]
    pub tokens_per_day: Option<Option<u64>>,
    /// The shape of the minute's windows.
    pub window: Option<WindowShape>,
}

/// Who may call the HTTP face. The default accepts anything.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// Accepts every request, signed or not. True, unless keys or tokens are given.
    pub accept_any: Option<bool>,
    /// Access keys whose signatures are checked.
    pub access_keys: Vec<AccessKey>,
    /// Bearer tokens.
    pub bearer_tokens: Vec<String>,
}

/// An access key.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The session token that must come with it, for temporary keys.
    pub session_token: Option<String>,
    /// Answers `ExpiredTokenException` to everything signed with it.
    #[serde(default)]
    pub expired: bool,
}

/// A setting that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value out of its range.
    #[error("{key} is {value}: expected {expected}")]
    Invalid {
        /// The setting, with its path.
        key: String,
        /// What it was set to.
        value: String,
        /// What is accepted.
        expected: String,
    },
    /// Not TOML, or not the keys and types that are expected. The message names line and key.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
}

impl ConfigError {
    pub(crate) fn invalid(
        key: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            key: key.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}

/// Whether a value is within its range.
pub(crate) fn check<T: PartialOrd + fmt::Display>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(ConfigError::invalid(key, value, expected))
}

impl Config {
    /// Reads a TOML file's text.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, the value and what is accepted.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }

    /// What can be checked of it alone.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        check("time_scale", self.time_scale, 0.001..=1_000_000.0)?;
        check("ledger_entries", self.ledger_entries, 0..=10_000_000)?;
        if let Some(limit) = self.tokens_per_day {
            check("tokens_per_day", limit, 0..=ModelSettings::MAX_LIMIT)?;
        }
        Ok(())
    }

    pub(crate) fn default_region(&self) -> Result<Region, ConfigError> {
        self.region
            .parse()
            .map_err(|error| ConfigError::invalid("region", &self.region, format!("{error}")))
    }
}

impl QuotaSettings {
    pub(crate) fn settings(&self) -> ModelSettings {
        ModelSettings {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            tokens_per_day: self.tokens_per_day,
            window: self.window,
            ..ModelSettings::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            region: "us-east-1".into(),
            seed: 0,
            time_scale: 1.0,
            builtin_models: true,
            credentials: Credentials::default(),
            models: BTreeMap::new(),
            quotas: Vec::new(),
            tokens_per_day: None,
            background: Vec::new(),
            faults: Vec::new(),
            ledger_entries: 10_000,
        }
    }
}

impl Credentials {
    /// Whether every request is accepted.
    #[must_use]
    pub fn accepts_any(&self) -> bool {
        self.accept_any
            .unwrap_or(self.access_keys.is_empty() && self.bearer_tokens.is_empty())
    }
}

/// Shows how many there are, and no secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("accepts_any", &self.accepts_any())
            .field("access_keys", &self.access_keys.len())
            .field("bearer_tokens", &self.bearer_tokens.len())
            .finish()
    }
}

/// Shows the id alone.
impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
