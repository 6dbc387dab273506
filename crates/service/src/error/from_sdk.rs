//! The SDK's errors, told apart.
//!
//! Everything that does not depend on an operation's own error type is kept out of the generic functions,
//! of which there is one copy for each operation.

use std::{error::Error as StdError, time::SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::{
    config::http::HttpResponse,
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
    primitives::event_stream::Message,
};
use aws_smithy_types::{event_stream::RawMessage, retry::ErrorKind};
use tower_bedrock_core::{ErrorResponse, Fault, FaultKind, retry_after};

use super::{Answered, Error, Origin};

impl Error {
    /// The error of an HTTP call.
    pub(crate) fn from_call<E>(error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let meta = match &error {
            SdkError::ServiceError(e) => (e.err().code(), e.err().message()),
            _ => (None, None),
        };
        let response = error.raw_response();
        let answer = response.map_or_else(Answered::default, |r| of_response(r, meta));
        let (origin, fault) = match (&error, response) {
            (SdkError::ConstructionFailure(_), _) => {
                (Origin::NotSent, FaultKind::Validation.into())
            }
            (SdkError::TimeoutError(_), _) => (Origin::NoAnswer, FaultKind::Timeout.into()),
            (SdkError::DispatchFailure(e), _) => {
                e.as_connector_error().map_or(NO_ANSWER, of_connector)
            }
            (_, Some(response)) => of_answer(response, &answer),
            _ => (Origin::NoAnswer, FaultKind::Unknown.into()),
        };
        Self::new(origin, fault, error, answer)
    }

    /// The error of a stream whose HTTP status said 200.
    pub(crate) fn from_stream<E>(error: SdkError<E, RawMessage>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let frame = match error.raw_response() {
            Some(RawMessage::Decoded(message)) => Some(message),
            _ => None,
        };
        let message = match &error {
            SdkError::ServiceError(e) => e.err().message(),
            _ => None,
        };
        let answer = frame.map_or_else(Answered::default, |frame| of_frame(frame, message));
        let (origin, fault) = match &error {
            SdkError::DispatchFailure(e) => e.as_connector_error().map_or(NO_ANSWER, of_connector),
            // A bad checksum, a frame cut short, an event that cannot be read.
            _ if answer.exception.is_none() => (Origin::Stream, FaultKind::Transport.into()),
            _ => (Origin::Stream, classify(&answer, None)),
        };
        Self::new(origin, fault, error, answer)
    }
}

const NO_ANSWER: (Origin, Fault) = (Origin::NoAnswer, Fault::new(FaultKind::Transport));

fn of_response(response: &HttpResponse, meta: (Option<&str>, Option<&str>)) -> Answered {
    let header = |name| response.headers().get(name);
    let exception = meta.0.or_else(|| header("x-amzn-errortype"));
    Answered {
        status: Some(response.status().as_u16()),
        exception: exception.and_then(name),
        message: meta.1.map(Into::into),
        request_id: header("x-amzn-requestid").map(Into::into),
    }
}

/// The headers are asked and not the SDK's error: it gives no code for exceptions inside a stream, and
/// knows nothing of those that its model leaves out.
fn of_frame(frame: &Message, message: Option<&str>) -> Answered {
    let header = |wanted: &[&str]| {
        let header = frame
            .headers()
            .iter()
            .find(|header| wanted.contains(&header.name().as_str()))?;
        header.value().as_string().ok().map(|value| value.as_str())
    };
    Answered {
        exception: header(&[":exception-type", ":error-code"]).and_then(name),
        message: message
            .or_else(|| header(&[":error-message"]))
            .map(Into::into),
        ..Answered::default()
    }
}

fn of_answer(response: &HttpResponse, answer: &Answered) -> (Origin, Fault) {
    if response.status().is_success() {
        // It said 200, and then could not be read to its end.
        return NO_ANSWER;
    }
    (Origin::Answer, classify(answer, Some(response)))
}

fn classify(answer: &Answered, response: Option<&HttpResponse>) -> Fault {
    ErrorResponse {
        status: answer.status,
        exception: answer.exception.as_deref(),
        message: answer.message.as_deref().unwrap_or_default(),
        retry_after: response
            .and_then(|r| retry_after(|name| r.headers().get(name), SystemTime::now())),
    }
    .classify()
}

/// Names are letters. What is not one has no business in a log.
fn name(text: &str) -> Option<Box<str>> {
    let text = text.split_once(':').map_or(text, |(name, _)| name);
    let text = text.rsplit_once('#').map_or(text, |(_, name)| name).trim();
    let well_formed = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    well_formed.then(|| text.into())
}

fn of_connector(error: &ConnectorError) -> (Origin, Fault) {
    if error.is_timeout() {
        return (Origin::NoAnswer, FaultKind::Timeout.into());
    }
    if error.is_io() {
        return NO_ANSWER;
    }
    if error.is_user() {
        return (Origin::NotSent, FaultKind::Validation.into());
    }
    match error.as_other() {
        Some(ErrorKind::TransientError | ErrorKind::ServerError) => NO_ANSWER,
        _ => of_unclassified(error),
    }
}

/// What the SDK's HTTP client did not know, and what failed between serialization and sending.
fn of_unclassified(error: &ConnectorError) -> (Origin, Fault) {
    let chain = std::iter::successors(error.source(), |&error| error.source()).take(32);
    for error in chain {
        let kind = if let Some(error) = error.downcast_ref::<CredentialsError>() {
            match error {
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_) => FaultKind::AccessDenied,
                CredentialsError::ProviderTimedOut(_) => FaultKind::Timeout,
                CredentialsError::ProviderError(_) => FaultKind::Transport,
                _ => FaultKind::Unknown,
            }
        } else if error.is::<hyper::Error>() || error.is::<std::io::Error>() {
            return NO_ANSWER;
        } else {
            continue;
        };
        return (Origin::NotSent, kind.into());
    }
    (Origin::NotSent, FaultKind::Unknown.into())
}
