use serde::{Deserialize, Deserializer};

/// What can be set of a model: the body of `PUT /_sim/models/{id}` and of `[models."id"]`. What is left
/// out stays as it is.
///
/// ```
/// use bedrock_sim::ModelSettings;
///
/// let settings: ModelSettings = serde_json::from_str(r#"{"tokens_per_minute": 1000, "tokens_per_day": null}"#)?;
/// assert_eq!(settings.tokens_per_minute, Some(Some(1_000)));
/// assert_eq!(settings.tokens_per_day, Some(None)); // no limit
/// assert_eq!(settings.requests_per_minute, None); // as it was
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Requests a minute of the id's route; null (in TOML `"none"`) for no limit.
    #[serde(deserialize_with = "limit")]
    pub requests_per_minute: Option<Option<u64>>,
    /// Tokens a minute of the id's route; null (in TOML `"none"`) for no limit.
    #[serde(deserialize_with = "limit")]
    pub tokens_per_minute: Option<Option<u64>>,
    /// Tokens a day of the id's route; null (in TOML `"none"`) for no limit.
    #[serde(deserialize_with = "limit")]
    pub tokens_per_day: Option<Option<u64>>,
    /// The shape of the minute's windows.
    pub window: Option<WindowShape>,
    /// Tokens of quota an output token uses up.
    pub burndown: Option<u64>,
    /// The most tokens the model can generate.
    pub max_output_tokens: Option<u64>,
    /// How many tokens it says when nothing stops it: a number, or `{"min": .., "max": ..}`.
    pub output_tokens: Option<OutputTokens>,
    /// Until the first token, in milliseconds.
    pub time_to_first_token_ms: Option<u64>,
    /// Tokens generated a second.
    pub tokens_per_second: Option<f64>,
    /// Tokens in one delta of a stream.
    pub tokens_per_delta: Option<u64>,
    /// How far latency and speed spread, as a share of themselves (0 to 0.9).
    pub latency_spread: Option<f64>,
    /// Tokens of this model for one token of the simulator's base tokenizer.
    pub tokenizer_ratio: Option<f64>,
}

/// The shape of a quota's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowShape {
    /// Never more than the limit in any 60 seconds.
    #[default]
    Sliding,
    /// A cycle of 60 seconds, counted from the simulator's start.
    Fixed,
    /// Refilled continuously; holds the limit at most.
    Bucket,
}

/// How many tokens a model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OutputTokens {
    /// Always so many.
    Exactly(u64),
    /// Any number between the two, both included, by the seeded randomness.
    Between {
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
    },
}

/// A value that is there is `Some`, even when it is null.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(deserializer).map(Some)
}
