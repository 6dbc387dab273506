use std::{borrow::Cow, fmt};

use tokio::time::Duration;
use tower_bedrock_core::{ErrorResponse, Fault};

/// An error as Bedrock would answer it: an exception with its status and message.
///
/// ```
/// use bedrock_sim::{Exception, ServiceError};
/// use tower_bedrock_core::FaultKind;
///
/// let error = ServiceError::too_many_tokens();
/// assert_eq!(error.exception(), Exception::Throttling);
/// assert_eq!(error.status(), 429);
/// assert_eq!(error.fault().kind(), FaultKind::ThrottledTokens);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{exception}: {message}")]
pub struct ServiceError {
    exception: Exception,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

/// Why a call is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// An error of Bedrock's.
    #[error(transparent)]
    Error(#[from] ServiceError),
    /// A load balancer's HTML page with status 503.
    #[error("503 with a load balancer's HTML page")]
    Html503 {
        /// When to come back, in simulated time.
        retry_after: Option<Duration>,
    },
    /// The connection is cut without an answer.
    #[error("the connection is reset")]
    Reset,
}

/// The exceptions of Bedrock's runtime, and those of AWS's front door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exception {
    /// 429 `ThrottlingException`.
    Throttling,
    /// 429 `ModelNotReadyException`.
    ModelNotReady,
    /// 503 `ServiceUnavailableException`.
    ServiceUnavailable,
    /// 500 `InternalServerException`.
    InternalServer,
    /// 529 `overloaded_error`: in no service model, and its body is not AWS's but
    /// `{"type": "error", "error": {"type": "overloaded_error", "message": ...}}`.
    Overloaded,
    /// 408 `ModelTimeoutException`.
    ModelTimeout,
    /// 424 `ModelErrorException`, whose body has `originalStatusCode` and `resourceName` as well.
    ModelError,
    /// 424 `ModelStreamErrorException`: what a [`ModelError`](Self::ModelError) is called in a stream.
    ModelStreamError,
    /// 400 `ValidationException`.
    Validation,
    /// 400 `SerializationException`: a body that cannot be read as the operation's input.
    Serialization,
    /// 408 `RequestTimeoutException`: a body that did not arrive in time.
    RequestTimeout,
    /// 403 `AccessDeniedException`.
    AccessDenied,
    /// 404 `ResourceNotFoundException`.
    ResourceNotFound,
    /// 400 `ServiceQuotaExceededException`.
    ServiceQuotaExceeded,
    /// 404 `UnknownOperationException`.
    UnknownOperation,
    /// 403 `UnrecognizedClientException`: an access key that nobody knows.
    UnrecognizedClient,
    /// 403 `InvalidSignatureException`.
    InvalidSignature,
    /// 403 `MissingAuthenticationTokenException`.
    MissingAuthenticationToken,
    /// 400 `IncompleteSignatureException`.
    IncompleteSignature,
    /// 403 `ExpiredTokenException`.
    ExpiredToken,
}

impl Exception {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttling => "ThrottlingException",
            Self::ModelNotReady => "ModelNotReadyException",
            Self::ServiceUnavailable => "ServiceUnavailableException",
            Self::InternalServer => "InternalServerException",
            Self::Overloaded => "overloaded_error",
            Self::ModelTimeout => "ModelTimeoutException",
            Self::ModelError => "ModelErrorException",
            Self::ModelStreamError => "ModelStreamErrorException",
            Self::Validation => "ValidationException",
            Self::Serialization => "SerializationException",
            Self::RequestTimeout => "RequestTimeoutException",
            Self::AccessDenied => "AccessDeniedException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ServiceQuotaExceeded => "ServiceQuotaExceededException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::ExpiredToken => "ExpiredTokenException",
        }
    }

    /// Its name as the `:exception-type` of a frame, which begins in lower case. The modelled ones are
    /// `throttlingException`, `serviceUnavailableException`, `internalServerException`,
    /// `modelStreamErrorException`, `validationException` and (not for Converse) `modelTimeoutException`.
    #[must_use]
    pub fn frame_name(self) -> String {
        let mut name = self.name().to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        name
    }

    /// Its HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Throttling | Self::ModelNotReady => 429,
            Self::ServiceUnavailable => 503,
            Self::InternalServer => 500,
            Self::Overloaded => 529,
            Self::ModelTimeout | Self::RequestTimeout => 408,
            Self::ModelError | Self::ModelStreamError => 424,
            Self::Validation
            | Self::Serialization
            | Self::ServiceQuotaExceeded
            | Self::IncompleteSignature => 400,
            Self::AccessDenied
            | Self::UnrecognizedClient
            | Self::InvalidSignature
            | Self::MissingAuthenticationToken
            | Self::ExpiredToken => 403,
            Self::ResourceNotFound | Self::UnknownOperation => 404,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ServiceError {
    /// An exception with its message.
    pub fn new(exception: Exception, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            exception,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Adds when to come back (`Retry-After`).
    #[must_use]
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// A `ValidationException`.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Exception::Validation, message)
    }

    /// Over the requests a minute.
    #[must_use]
    pub fn too_many_requests() -> Self {
        Self::new(
            Exception::Throttling,
            "Too many requests, please wait before trying again.",
        )
    }

    /// Over the tokens a minute.
    #[must_use]
    pub fn too_many_tokens() -> Self {
        Self::new(
            Exception::Throttling,
            "Too many tokens, please wait before trying again.",
        )
    }

    /// Over the tokens a day.
    #[must_use]
    pub fn too_many_tokens_per_day() -> Self {
        Self::new(
            Exception::Throttling,
            "Too many tokens per day, please wait before trying again.",
        )
    }

    /// A model id that no model has.
    #[must_use]
    pub fn unknown_model() -> Self {
        Self::validation("The provided model identifier is invalid.")
    }

    /// A profile-only model called by its plain id.
    #[must_use]
    pub fn not_on_demand(model: &str) -> Self {
        Self::validation(format!(
            "Invocation of model ID {model} with on-demand throughput isn't supported. Retry \
             your request with the ID or ARN of an inference profile that contains this model."
        ))
    }

    /// The exception.
    #[must_use]
    pub const fn exception(&self) -> Exception {
        self.exception
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.exception.status()
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// When to come back, in simulated time.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What a client would make of it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        ErrorResponse {
            status: Some(self.status()),
            exception: Some(self.exception.name()),
            message: &self.message,
            retry_after: self.retry_after,
        }
        .classify()
    }
}
