use serde::Deserialize;

/// Other applications of the account, which use up the quota of one model at a steady rate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackgroundCaller {
    /// The model id; its prefix names the route.
    pub model: String,
    /// The Region; without it the default one.
    #[serde(default)]
    pub region: Option<String>,
    /// Requests a minute.
    #[serde(default)]
    pub requests_per_minute: u64,
    /// Tokens a minute, as settled.
    #[serde(default)]
    pub tokens_per_minute: u64,
    /// From when on, in simulated milliseconds since it was added.
    #[serde(default)]
    pub from_ms: u64,
    /// Until when; without it for ever.
    #[serde(default)]
    pub until_ms: Option<u64>,
}
