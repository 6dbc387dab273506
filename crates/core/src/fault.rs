use std::{error::Error, fmt};

use tokio::time::Duration;

use crate::{Classified, History};

/// A boxed error, the same type as `tower::BoxError`.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What went wrong, as far as a policy needs to know.
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_core::{Fault, FaultKind};
///
/// let fault = Fault::new(FaultKind::Overloaded).with_retry_after(Duration::from_secs(5));
/// assert_eq!(fault.to_string(), "overloaded (retry after 5s)");
/// ```
///
/// It is itself an error, so a mock can answer with one and an error can name one as its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    kind: FaultKind,
    retry_after: Option<Duration>,
}

/// The kinds of fault that policies tell apart.
///
/// One for every row of Bedrock's error table, and the ones that arise on this side of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FaultKind {
    /// 429 `ThrottlingException`, "Too many requests": requests a minute.
    ThrottledRequests,
    /// 429 `ThrottlingException`, "Too many tokens": tokens a minute (not a context overflow).
    ThrottledTokens,
    /// 429 `ThrottlingException`, "Too many tokens per day".
    ThrottledTokensPerDay,
    /// 429 that does not say which quota.
    Throttled,
    /// 429 `ThrottlingException`, "Model X is currently overloaded": the model's shared capacity.
    ModelOverloaded,
    /// 429 `ModelNotReadyException`: a cold model.
    ModelNotReady,
    /// 503 `ServiceUnavailableException`, "Too many connections".
    TooManyConnections,
    /// 503 `ServiceUnavailableException`: transient, not quota.
    Unavailable,
    /// 500 `InternalServerException`.
    Internal,
    /// 529 `overloaded_error`: capacity; may say when to come back.
    Overloaded,
    /// 408 `ModelTimeoutException`: the model took too long.
    ModelTimeout,
    /// 424 `ModelErrorException`: the model failed.
    ModelError,
    /// `ModelStreamErrorException` (424, or inside a stream): the stream failed.
    ModelStreamError,
    /// 400 `ValidationException`, and other 4xx that a retry cannot mend.
    Validation,
    /// 401 and 403: `AccessDeniedException`, an unknown key, a bad signature.
    AccessDenied,
    /// 404 `ResourceNotFoundException`, `UnknownOperationException`.
    ResourceNotFound,
    /// 400 `ServiceQuotaExceededException`: an account's quota that time does not refill.
    ServiceQuotaExceeded,
    /// No answer of Bedrock's: connection refused or reset, a cut or truncated body, a load balancer's page.
    Transport,
    /// No answer in the time allowed for one attempt.
    Timeout,
    /// Turned away here: the circuit breaker of the target is open.
    CircuitOpen,
    /// Turned away here: the quota leaves no room in time.
    QuotaExhausted,
    /// Turned away here: every policy asked forecast a longer wait than the call can spare.
    NoHeadroom,
    /// Turned away here: the call's deadline has passed, or would have before an answer could come.
    DeadlineExceeded,
    /// Not recognised. Never retried on a guess.
    Unknown,
}

/// An error that says what went wrong.
///
/// [`BoxError`] answers by looking for a [`Fault`] along its chain of sources; see [`Fault::find`].
pub trait HasFault {
    /// What went wrong.
    fn fault(&self) -> Fault;

    /// What happened on the way, where the error has a place for it.
    fn history(&self) -> Option<&History> {
        None
    }

    /// Lets `update` add to what happened on the way. An error with no place for it stays as it is.
    #[must_use]
    fn update_history(self, update: impl FnOnce(&mut History)) -> Self
    where
        Self: Sized,
    {
        let _ = update;
        self
    }
}

impl Fault {
    /// A fault of the given kind.
    #[must_use]
    pub const fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            retry_after: None,
        }
    }

    /// Adds when it is worth coming back, counted from when the fault was received.
    #[must_use]
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// When it is worth coming back, where somebody said so. As received: not capped.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Looks for a fault along an error's chain of sources.
    ///
    /// Besides a [`Fault`] and an error that is [`Classified`], it knows two that every Tower stack meets:
    /// [`tokio::time::error::Elapsed`] is a [`FaultKind::Timeout`] and [`std::io::Error`] a
    /// [`FaultKind::Transport`].
    #[must_use]
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        sources(error).find_map(|error| {
            if let Some(fault) = error.downcast_ref::<Self>() {
                Some(*fault)
            } else if let Some(classified) = error.downcast_ref::<Classified>() {
                Some(classified.fault())
            } else if error.is::<tokio::time::error::Elapsed>() {
                Some(Self::new(FaultKind::Timeout))
            } else if error.is::<std::io::Error>() {
                Some(Self::new(FaultKind::Transport))
            } else {
                None
            }
        })
    }
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 24] = [
        Self::ThrottledRequests,
        Self::ThrottledTokens,
        Self::ThrottledTokensPerDay,
        Self::Throttled,
        Self::ModelOverloaded,
        Self::ModelNotReady,
        Self::TooManyConnections,
        Self::Unavailable,
        Self::Internal,
        Self::Overloaded,
        Self::ModelTimeout,
        Self::ModelError,
        Self::ModelStreamError,
        Self::Validation,
        Self::AccessDenied,
        Self::ResourceNotFound,
        Self::ServiceQuotaExceeded,
        Self::Transport,
        Self::Timeout,
        Self::CircuitOpen,
        Self::QuotaExhausted,
        Self::NoHeadroom,
        Self::DeadlineExceeded,
        Self::Unknown,
    ];

    /// The kind in snake case, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ThrottledRequests => "throttled_requests",
            Self::ThrottledTokens => "throttled_tokens",
            Self::ThrottledTokensPerDay => "throttled_tokens_per_day",
            Self::Throttled => "throttled",
            Self::ModelOverloaded => "model_overloaded",
            Self::ModelNotReady => "model_not_ready",
            Self::TooManyConnections => "too_many_connections",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Overloaded => "overloaded",
            Self::ModelTimeout => "model_timeout",
            Self::ModelError => "model_error",
            Self::ModelStreamError => "model_stream_error",
            Self::Validation => "validation",
            Self::AccessDenied => "access_denied",
            Self::ResourceNotFound => "resource_not_found",
            Self::ServiceQuotaExceeded => "service_quota_exceeded",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::CircuitOpen => "circuit_open",
            Self::QuotaExhausted => "quota_exhausted",
            Self::NoHeadroom => "no_headroom",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Unknown => "unknown",
        }
    }

    /// The exception that Bedrock's wire names this kind with, where it has one.
    #[must_use]
    pub const fn exception(self) -> Option<&'static str> {
        Some(match self {
            Self::ThrottledRequests
            | Self::ThrottledTokens
            | Self::ThrottledTokensPerDay
            | Self::Throttled
            | Self::ModelOverloaded => "ThrottlingException",
            Self::ModelNotReady => "ModelNotReadyException",
            Self::TooManyConnections | Self::Unavailable => "ServiceUnavailableException",
            Self::Internal => "InternalServerException",
            Self::ModelTimeout => "ModelTimeoutException",
            Self::ModelError => "ModelErrorException",
            Self::ModelStreamError => "ModelStreamErrorException",
            Self::Validation => "ValidationException",
            Self::AccessDenied => "AccessDeniedException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ServiceQuotaExceeded => "ServiceQuotaExceededException",
            Self::Overloaded
            | Self::Transport
            | Self::Timeout
            | Self::CircuitOpen
            | Self::QuotaExhausted
            | Self::NoHeadroom
            | Self::DeadlineExceeded
            | Self::Unknown => return None,
        })
    }

    /// Whether an account's quota was used up: a throttle, and not an overload, which is nobody's quota.
    #[must_use]
    pub const fn is_throttle(self) -> bool {
        matches!(
            self,
            Self::ThrottledRequests
                | Self::ThrottledTokens
                | Self::ThrottledTokensPerDay
                | Self::Throttled
        )
    }

    /// Whether the caller would have to change the request, its rights or its account first.
    #[must_use]
    pub const fn is_callers_mistake(self) -> bool {
        matches!(
            self,
            Self::Validation
                | Self::AccessDenied
                | Self::ResourceNotFound
                | Self::ServiceQuotaExceeded
        )
    }

    /// Whether a policy on this side turned the call away, so that Bedrock never saw it.
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(
            self,
            Self::CircuitOpen | Self::QuotaExhausted | Self::NoHeadroom | Self::DeadlineExceeded
        )
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.retry_after {
            Some(after) => write!(f, " (retry after {after:?})"),
            None => Ok(()),
        }
    }
}

impl Error for Fault {}

/// An error and what lies below it.
fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    // Real chains are a handful long. The bound is for an error that names itself as its source.
    const MAX_DEPTH: usize = 32;
    std::iter::successors(Some(error), |error| (*error).source()).take(MAX_DEPTH)
}

// === impl HasFault ===

impl HasFault for Fault {
    fn fault(&self) -> Fault {
        *self
    }
}

impl HasFault for BoxError {
    fn fault(&self) -> Fault {
        Fault::find(self.as_ref()).unwrap_or(Fault::new(FaultKind::Unknown))
    }

    /// Found along the chain of sources, as the fault is: something that wraps errors may stand in between.
    fn history(&self) -> Option<&History> {
        sources(self.as_ref())
            .find_map(|error| error.downcast_ref::<WithHistory>())
            .map(|error| &error.history)
    }

    /// A boxed error has no place for a history, so the first update wraps it in an error that has one
    /// and whose [`source`](Error::source) it becomes.
    fn update_history(self, update: impl FnOnce(&mut History)) -> Self {
        let mut error = self.downcast::<WithHistory>().unwrap_or_else(|error| {
            let history = error.history().cloned().unwrap_or_default();
            Box::new(WithHistory { error, history })
        });
        update(&mut error.history);
        error
    }
}

/// A boxed error with a place for its history. It reads as the error it holds.
#[derive(Debug)]
struct WithHistory {
    error: BoxError,
    history: History,
}

impl fmt::Display for WithHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for WithHistory {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.error.as_ref())
    }
}
