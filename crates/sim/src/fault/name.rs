use serde::Deserialize;

use crate::{Exception, ServiceError};

/// What can go wrong. In JSON and TOML they go by these names in snake case: `throttle_tokens`,
/// `overloaded_529`, `html_503`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultName {
    /// 429 `ThrottlingException`: requests a minute.
    ThrottleRequests,
    /// 429 `ThrottlingException`: tokens a minute.
    ThrottleTokens,
    /// 429 `ThrottlingException`: tokens a day.
    ThrottleTokensPerDay,
    /// 429 `ThrottlingException`: the model's shared capacity.
    Overloaded,
    /// 429 `ModelNotReadyException`.
    ModelNotReady,
    /// 503 `ServiceUnavailableException`: too many connections.
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

impl FaultName {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::ThrottleRequests,
        Self::ThrottleTokens,
        Self::ThrottleTokensPerDay,
        Self::Overloaded,
        Self::ModelNotReady,
        Self::TooManyConnections,
        Self::Unavailable,
        Self::Internal,
        Self::Overloaded529,
        Self::ModelTimeout,
        Self::ModelError,
        Self::Html503,
        Self::Reset,
        Self::Hang,
        Self::Slow,
        Self::Corrupt,
    ];

    /// The error that Bedrock answers with, or `None` for what is no error of Bedrock's.
    pub(super) fn error(self, model: &str) -> Option<ServiceError> {
        Some(match self {
            Self::ThrottleRequests => ServiceError::too_many_requests(),
            Self::ThrottleTokens => ServiceError::too_many_tokens(),
            Self::ThrottleTokensPerDay => ServiceError::too_many_tokens_per_day(),
            Self::Overloaded => ServiceError::new(
                Exception::Throttling,
                format!("Model {model} is currently overloaded. Please try again later."),
            ),
            Self::ModelNotReady => ServiceError::new(
                Exception::ModelNotReady,
                "The model specified in the request is not ready to serve inference requests.",
            ),
            Self::TooManyConnections => ServiceError::new(
                Exception::ServiceUnavailable,
                "Too many connections, please wait before trying again.",
            ),
            Self::Unavailable => ServiceError::new(
                Exception::ServiceUnavailable,
                "Service temporarily unavailable, please try again.",
            ),
            Self::Internal => ServiceError::new(
                Exception::InternalServer,
                "The system encountered an unexpected error during processing. Try your request again.",
            ),
            Self::Overloaded529 => ServiceError::new(Exception::Overloaded, "Overloaded"),
            Self::ModelTimeout => ServiceError::new(
                Exception::ModelTimeout,
                "Model has timed out in processing the request. Try your request again.",
            ),
            Self::ModelError => ServiceError::new(
                Exception::ModelError,
                "The request failed due to an error while processing the model.",
            ),
            Self::Html503 | Self::Reset | Self::Hang | Self::Slow | Self::Corrupt => return None,
        })
    }
}
