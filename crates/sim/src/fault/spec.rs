use serde::Deserialize;

use crate::Operation;

/// A fault to come: the body of `POST /_sim/faults`, and a `[[faults]]` of the TOML file.
///
/// ```
/// use bedrock_sim::FaultSpec;
///
/// let fault: FaultSpec = serde_json::from_str(
///     r#"{"model": "us.anthropic.*", "operation": "ConverseStream", "kind": "throttle_tokens",
///         "times": 3, "at": {"after_deltas": 2}}"#,
/// )?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// A glob over the model id as called (`*` any run of characters, `?` any one).
    #[serde(default = "any_model")]
    pub model: String,
    /// The operation, or any.
    #[serde(default)]
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
    /// The answer's `Retry-After`, in seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// The exception's message, in place of Bedrock's own.
    #[serde(default)]
    pub message: Option<String>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultName {
    /// 429 `ThrottlingException`, requests a minute.
    ThrottleRequests,
    /// 429 `ThrottlingException`, tokens a minute.
    ThrottleTokens,
    /// 429 `ThrottlingException`, tokens a day.
    ThrottleTokensPerDay,
    /// 429 `ThrottlingException`, the model's shared capacity.
    Overloaded,
    /// 429 `ModelNotReadyException`.
    ModelNotReady,
    /// 503 `ServiceUnavailableException`, too many connections.
    TooManyConnections,
    /// 503 `ServiceUnavailableException`.
    Unavailable,
    /// 500 `InternalServerException`.
    Internal,
    /// 529 `overloaded_error`.
    #[serde(rename = "overloaded_529")]
    Overloaded529,
    /// 408 `ModelTimeoutException`.
    ModelTimeout,
    /// 424 `ModelErrorException`; in a stream `modelStreamErrorException`.
    ModelError,
    /// A load balancer's HTML page with status 503.
    #[serde(rename = "html_503")]
    Html503,
    /// The connection is cut.
    Reset,
    /// Nothing comes, and the connection stays open.
    Hang,
    /// The answer comes ten times slower.
    Slow,
    /// A frame with a bad checksum (streams only).
    Corrupt,
}

/// Where in a stream a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAt {
    /// In place of the first event.
    FirstEvent,
    /// After so many deltas.
    AfterDeltas(u64),
}

fn any_model() -> String {
    "*".to_owned()
}
