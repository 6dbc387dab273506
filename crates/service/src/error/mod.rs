//! The one error type of the service.

mod from_sdk;

use std::{error::Error as StdError, fmt};

use tokio::time::Duration;
use tower_bedrock_core::{Classified, Fault, FaultKind, HasFault, History, Rejection};

/// What went wrong with a call, or with a stream after it was answered.
///
/// ```
/// use aws_sdk_bedrockruntime::{error::SdkError, operation::converse::ConverseError};
/// use tower_bedrock_core::{FaultKind, HasFault};
/// use tower_bedrock_service::Error;
///
/// fn explain(error: &Error) -> String {
///     match error.fault().kind() {
///         FaultKind::ThrottledTokens => "over the tokens a minute".to_owned(),
///         // What AWS wrote about it ...
///         FaultKind::Validation => error.message().unwrap_or("no message").to_owned(),
///         // ... and the SDK's own error, for whoever wants it.
///         _ => match error.downcast_ref::<SdkError<ConverseError>>() {
///             Some(SdkError::ServiceError(e)) => format!("modelled: {:?}", e.err().meta().code()),
///             _ => error.to_string(),
///         },
///     }
/// }
/// ```
///
/// It is flat: the fault is worked out once, when the error is made, and what a policy adds on the way
/// (attempts, hops) is kept in its [`History`], not in layers of wrapping. A pointer wide, so that a
/// `Result` stays small.
///
/// # What it shows
///
/// `Display` and `Debug` show the fault, the HTTP status, the exception's name and the request id. They
/// never show a request or a response, and so not the message either: AWS quotes rejected values in it.
/// Ask [`message`](Self::message) for it, or follow [`source`](StdError::source): the SDK's errors *display*
/// it. (Their `Debug` prints whole responses. Do not log it.)
pub struct Error(Box<Inner>);

struct Inner {
    origin: Origin,
    cause: Classified,
    answer: Answered,
    history: History,
}

/// Where a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Before anything was sent.
    NotSent,
    /// Bedrock answered with an error.
    Answer,
    /// No whole answer arrived.
    NoAnswer,
    /// Inside a stream whose HTTP status was 200.
    Stream,
    /// A policy turned the call away.
    Rejected,
}

/// What the answer said, where there was one.
#[derive(Default)]
struct Answered {
    status: Option<u16>,
    exception: Option<Box<str>>,
    message: Option<Box<str>>,
    request_id: Option<Box<str>>,
}

/// The faults that this crate itself finds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Local {
    #[error("the call's deadline has passed")]
    DeadlinePassed,
    #[error("no {awaited} within {limit:?}")]
    TimedOut {
        awaited: &'static str,
        limit: Duration,
    },
    #[error("the stream ended before its first content")]
    EndedBeforeContent,
    #[error("the stream ended before its last event")]
    EndedEarly,
}

impl Error {
    fn new(
        origin: Origin,
        fault: Fault,
        source: impl Into<tower_bedrock_core::BoxError>,
        answer: Answered,
    ) -> Self {
        Self(Box::new(Inner {
            origin,
            cause: Classified::new(fault, source),
            answer,
            history: History::default(),
        }))
    }

    pub(crate) fn local(cause: Local) -> Self {
        let (origin, kind) = match cause {
            Local::DeadlinePassed => (Origin::NotSent, FaultKind::DeadlineExceeded),
            Local::TimedOut { .. } => (Origin::NoAnswer, FaultKind::Timeout),
            Local::EndedBeforeContent | Local::EndedEarly => (Origin::Stream, FaultKind::Transport),
        };
        Self::new(origin, kind.into(), cause, Answered::default())
    }

    /// Adds the request id of the stream that failed, whose own errors name none.
    pub(crate) fn with_request_id(mut self, request_id: Option<&str>) -> Self {
        if self.0.answer.request_id.is_none() {
            self.0.answer.request_id = request_id.map(Into::into);
        }
        self
    }

    /// The HTTP status of the answer; `None` where there was none, and inside a stream.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.answer.status
    }

    /// The exception's name as it came over the wire, such as `ThrottlingException`; inside a stream in
    /// lower camel case.
    #[must_use]
    pub fn exception(&self) -> Option<&str> {
        self.0.answer.exception.as_deref()
    }

    /// What AWS wrote about it. It may quote the request: mind where it goes.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.answer.message.as_deref()
    }

    /// The request id, for AWS support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.answer.request_id.as_deref()
    }

    /// The error below, if it is a `T`: the SDK's `SdkError<ConverseError>` and its like, for a stream
    /// `SdkError<ConverseStreamOutputError, RawMessage>` or `SdkError<ResponseStreamError, RawMessage>`, or
    /// a policy's [`Rejection`].
    #[must_use]
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        self.0.cause.get_ref().downcast_ref()
    }
}

/// Takes every policy's rejection, so that the error of a whole stack is this one.
impl<R: Rejection> From<R> for Error {
    fn from(rejection: R) -> Self {
        let fault = Fault::find(&rejection).unwrap_or(Fault::new(FaultKind::Unknown));
        Self::new(Origin::Rejected, fault, rejection, Answered::default())
    }
}

impl HasFault for Error {
    fn fault(&self) -> Fault {
        self.0.cause.fault()
    }

    fn history(&self) -> Option<&History> {
        Some(&self.0.history)
    }

    fn update_history(mut self, update: impl FnOnce(&mut History)) -> Self {
        update(&mut self.0.history);
        self
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0.cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(match inner.origin {
            Origin::NotSent => "call not sent: ",
            Origin::Answer => "Bedrock answered with an error: ",
            Origin::NoAnswer => "no whole answer from Bedrock: ",
            Origin::Stream => "Bedrock's stream failed: ",
            Origin::Rejected => "call turned away: ",
        })?;
        write!(f, "{}", inner.cause.fault())?;
        let answer = &inner.answer;
        if let Some(exception) = &answer.exception {
            write!(f, ", {exception}")?;
        }
        if let Some(status) = answer.status {
            write!(f, ", HTTP {status}")?;
        }
        if let Some(request_id) = &answer.request_id {
            write!(f, ", request id {request_id}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("origin", &inner.origin)
            .field("fault", &inner.cause.fault())
            .field("exception", &inner.answer.exception)
            .field("status", &inner.answer.status)
            .field("request_id", &inner.answer.request_id)
            .field("history", &inner.history)
            .finish_non_exhaustive()
    }
}
