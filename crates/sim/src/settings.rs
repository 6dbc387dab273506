use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};

use crate::{ConfigError, config::check};

/// What can be set of a model: the body of `PUT /_sim/models/{id}`, a `[models."id"]` of the TOML file.
/// What is left out stays as it is.
///
/// ```
/// use bedrock_sim::ModelSettings;
///
/// let settings: ModelSettings =
///     serde_json::from_str(r#"{"tokens_per_minute": 1000, "tokens_per_day": null, "window": "fixed"}"#)?;
/// assert_eq!(settings.tokens_per_minute, Some(Some(1_000)));
/// assert_eq!(settings.tokens_per_day, Some(None)); // no limit
/// assert_eq!(settings.requests_per_minute, None); // as it was
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// The first four belong to the route and the Region that are set; the others to the base model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Requests a minute; null (in TOML `"none"`) for no limit. A new model has none.
    #[serde(deserialize_with = "limit")]
    pub requests_per_minute: Option<Option<u64>>,
    /// Tokens a minute; null (in TOML `"none"`) for no limit. A new model has none.
    #[serde(deserialize_with = "limit")]
    pub tokens_per_minute: Option<Option<u64>>,
    /// Tokens a day; null (in TOML `"none"`) for no limit. A new model has none.
    #[serde(deserialize_with = "limit")]
    pub tokens_per_day: Option<Option<u64>>,
    /// The shape of the minute's windows: sliding for a new model. Another shape than before begins empty.
    pub window: Option<WindowShape>,
    /// Tokens of quota an output token uses up: AWS's published rate for a new model.
    pub burndown: Option<u64>,
    /// The most tokens the model can generate: 8,192 for a new model.
    pub max_output_tokens: Option<u64>,
    /// How many tokens it says when nothing stops it, a number or `{"min": .., "max": ..}`: 64 for a new
    /// model.
    pub output_tokens: Option<OutputTokens>,
    /// Until the first token, in simulated milliseconds: 300 for a new model.
    pub time_to_first_token_ms: Option<u64>,
    /// Tokens generated a simulated second: 80 for a new model.
    pub tokens_per_second: Option<f64>,
    /// Tokens in one delta of a stream: 4 for a new model.
    pub tokens_per_delta: Option<u64>,
    /// How far latency and speed spread from call to call, as a share of themselves: 0 for a new model.
    pub latency_spread: Option<f64>,
    /// Tokens of this model for one of the base tokenizer (see [`Input`](crate::Input)): 1 for a new model.
    pub tokenizer_ratio: Option<f64>,
}

/// The shape of a quota's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowShape {
    /// Never more than the limit in any 60 seconds. What a call cost counts for 60 seconds from its
    /// admission; what it cost beyond its reservation, from its settlement.
    #[default]
    Sliding,
    /// A cycle of 60 seconds, counted from the simulator's start. Debt beyond the limit is carried into the
    /// next cycle.
    Fixed,
    /// Refilled continuously, a limit's worth a minute; holds a limit's worth at most.
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

impl ModelSettings {
    /// The highest limit accepted: 10^12.
    pub const MAX_LIMIT: u64 = 1_000_000_000_000;

    /// Takes over the limits that `other` sets.
    pub(crate) fn set_limits(&mut self, other: &Self) {
        fn set<T: Copy>(value: &mut Option<T>, setting: Option<T>) {
            *value = setting.or(*value);
        }
        set(&mut self.requests_per_minute, other.requests_per_minute);
        set(&mut self.tokens_per_minute, other.tokens_per_minute);
        set(&mut self.tokens_per_day, other.tokens_per_day);
        set(&mut self.window, other.window);
    }

    /// `path` is where they stand, to name a wrong one by.
    pub(crate) fn validate(&self, path: &str) -> Result<(), ConfigError> {
        let limits = [
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("tokens_per_day", self.tokens_per_day),
        ];
        for (key, limit) in limits {
            if let Some(Some(limit)) = limit {
                check(&format!("{path}.{key}"), limit, 0..=Self::MAX_LIMIT)?;
            }
        }
        let whole = [
            ("burndown", self.burndown, 1..=1_000),
            ("max_output_tokens", self.max_output_tokens, 1..=10_000_000),
            (
                "time_to_first_token_ms",
                self.time_to_first_token_ms,
                0..=3_600_000,
            ),
            ("tokens_per_delta", self.tokens_per_delta, 1..=10_000),
        ];
        for (key, value, range) in whole {
            if let Some(value) = value {
                check(&format!("{path}.{key}"), value, range)?;
            }
        }
        let fractions = [
            (
                "tokens_per_second",
                self.tokens_per_second,
                0.001..=1_000_000.0,
            ),
            ("latency_spread", self.latency_spread, 0.0..=0.9),
            ("tokenizer_ratio", self.tokenizer_ratio, 0.1..=10.0),
        ];
        for (key, value, range) in fractions {
            if let Some(value) = value {
                check(&format!("{path}.{key}"), value, range)?;
            }
        }
        if let Some(output) = self.output_tokens {
            let (min, max) = output.range();
            let key = format!("{path}.output_tokens");
            check(&key, min, 1..=10_000_000)?;
            check(&key, max, min..=10_000_000)?;
        }
        Ok(())
    }
}

impl OutputTokens {
    pub(crate) const fn range(self) -> (u64, u64) {
        match self {
            Self::Exactly(tokens) => (tokens, tokens),
            Self::Between { min, max } => (min, max),
        }
    }
}

/// A value that is there is `Some`, even when it is null: that takes a limit away.
pub(crate) fn limit<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<u64>>, D::Error> {
    deserializer.deserialize_any(LimitVisitor).map(Some)
}

struct LimitVisitor;

impl Visitor<'_> for LimitVisitor {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number, null or \"none\"")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        u64::try_from(value)
            .map(Some)
            .map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        if value == "none" {
            Ok(None)
        } else {
            Err(E::invalid_value(Unexpected::Str(value), &self))
        }
    }
}
