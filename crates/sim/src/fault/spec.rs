use serde::{Deserialize, Deserializer, de::Error};

use super::FaultName;
use crate::{ConfigError, Operation, config::check};

/// A fault to come: the body of `POST /_sim/faults`, and a `[[faults]]` of the TOML file.
///
/// ```
/// use bedrock_sim::{FaultName, FaultSpec, Simulator};
///
/// let simulator = Simulator::default();
///
/// // Three throttles, each inside a stream that has begun.
/// let fault: FaultSpec = serde_json::from_str(
///     r#"{"model": "us.anthropic.*", "operation": "ConverseStream", "kind": "throttle_tokens",
///         "times": 3, "at": {"after_deltas": 2}}"#,
/// )?;
/// simulator.add_fault(fault)?;
///
/// // An outage of five minutes, in simulated time, for every model.
/// let outage = FaultSpec { until_ms: Some(300_000), ..FaultSpec::new(FaultName::Unavailable) };
/// simulator.add_fault(outage)?;
///
/// // What cannot be is refused with a reason.
/// let error = simulator.add_fault(FaultSpec::new(FaultName::Corrupt)).unwrap_err();
/// assert_eq!(error.to_string(), "fault.at is not set: expected first_event or after_deltas, as a corrupt frame is one of a stream");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Faults are looked through in the order they were added; the first that matches a valid call strikes it,
/// before the quotas are asked. Those that answer with an error cost no quota. `hang`, `slow` and
/// everything inside a stream happen to a call that was admitted, and that holds its reservation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// A glob over the model id as called (`*` any run of characters, `?` any one). Without it, any model.
    #[serde(default = "any_model")]
    pub model: String,
    /// The operation, or any.
    #[serde(default, deserialize_with = "operation")]
    pub operation: Option<Operation>,
    /// What goes wrong.
    pub kind: FaultName,
    /// How often; without it, for ever.
    #[serde(default)]
    pub times: Option<u64>,
    /// How likely for each call that matches; without it, certainly.
    #[serde(default)]
    pub probability: Option<f64>,
    /// From when on, in simulated milliseconds since the fault was added.
    #[serde(default)]
    pub from_ms: Option<u64>,
    /// Until when, likewise.
    #[serde(default)]
    pub until_ms: Option<u64>,
    /// Where in a stream; without it, in place of the answer.
    #[serde(default)]
    pub at: Option<FaultAt>,
    /// The answer's `Retry-After`, in simulated seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// The exception's message, in place of Bedrock's own.
    #[serde(default)]
    pub message: Option<String>,
}

/// By the name Bedrock gives it.
fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Operation>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    name.map(|name| name.parse().map_err(Error::custom))
        .transpose()
}

/// Where in a stream a fault strikes: `"first_event"` or `{"after_deltas": N}`.
///
/// A service fault becomes an exception frame there, `reset` a cut connection, `hang` a stall, `corrupt` a
/// frame with a bad checksum. A stream of fewer deltas is struck after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAt {
    /// In place of the first event.
    FirstEvent,
    /// After so many deltas.
    AfterDeltas(u64),
}

impl FaultSpec {
    /// A fault of every call from now on.
    #[must_use]
    pub fn new(kind: FaultName) -> Self {
        Self {
            model: any_model(),
            operation: None,
            kind,
            times: None,
            probability: None,
            from_ms: None,
            until_ms: None,
            at: None,
            retry_after: None,
            message: None,
        }
    }

    /// A fault of the next call only.
    #[must_use]
    pub fn once(kind: FaultName) -> Self {
        Self {
            times: Some(1),
            ..Self::new(kind)
        }
    }

    /// Only for models whose id as called matches the glob.
    #[must_use]
    pub fn for_model(mut self, glob: impl Into<String>) -> Self {
        self.model = glob.into();
        self
    }

    /// Inside streams only, at the given place.
    #[must_use]
    pub const fn at(mut self, at: FaultAt) -> Self {
        self.at = Some(at);
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.model.is_empty() || self.model.len() > 2_048 {
            let length = format!("{} bytes long", self.model.len());
            return invalid("model", length, "1 to 2048 bytes");
        }
        // A fault that never strikes is a mistake rather than a wish.
        if self.times == Some(0) {
            return invalid("times", 0, "at least 1");
        }
        if let Some(probability) = self.probability
            && !(probability > 0.0 && probability <= 1.0)
        {
            return invalid("probability", probability, "more than 0, and at most 1");
        }
        if let Some(until) = self.until_ms
            && until <= self.from_ms.unwrap_or(0)
        {
            return invalid("until_ms", until, "more than from_ms");
        }
        self.validate_place()?;
        self.validate_answer()
    }

    fn validate_place(&self) -> Result<(), ConfigError> {
        use FaultName::{Corrupt, Html503, Slow};
        const PLACES: &str = "first_event or after_deltas, as a corrupt frame is one of a stream";
        match (self.kind, self.at) {
            (Corrupt, None) => invalid("at", "not set", PLACES),
            (Html503 | Slow, Some(_)) => invalid(
                "at",
                "set",
                "nothing, as html_503 and slow are faults of the whole answer",
            ),
            (_, Some(_)) => match self.operation {
                Some(operation) if !operation.is_streaming() => invalid(
                    "operation",
                    operation,
                    "ConverseStream, InvokeModelWithResponseStream or nothing, as \"at\" is a place in a stream",
                ),
                _ => Ok(()),
            },
            (_, None) => Ok(()),
        }
    }

    fn validate_answer(&self) -> Result<(), ConfigError> {
        let is_error = self.kind.error("").is_some();
        if self.message.is_some() && !is_error {
            return invalid("message", "set", "nothing, as this kind answers with none");
        }
        let has_headers = is_error || self.kind == FaultName::Html503;
        if self.retry_after.is_some() && (!has_headers || self.at.is_some()) {
            return invalid(
                "retry_after",
                "set",
                "nothing, as this kind answers with no headers there",
            );
        }
        if let Some(seconds) = self.retry_after {
            check("fault.retry_after", seconds, 0..=31_536_000)?;
        }
        Ok(())
    }
}

fn invalid<T>(
    key: &str,
    value: impl std::fmt::Display,
    expected: &'static str,
) -> Result<T, ConfigError> {
    Err(ConfigError::invalid(
        format!("fault.{key}"),
        value,
        expected,
    ))
}

fn any_model() -> String {
    "*".to_owned()
}
