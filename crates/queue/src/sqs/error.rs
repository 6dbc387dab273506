use std::{error::Error, fmt};

use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    operation::send_message::SendMessageError,
};

/// Why SQS did not do what it was asked to. Shows no body.
pub struct SqsError {
    what: &'static str,
    /// SQS will never take it as it is.
    pub(super) invalid: bool,
    source: Box<dyn Error + Send + Sync>,
}

const NOT_SENT: &str = "a message cannot be sent";

impl SqsError {
    pub(super) fn new(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            what,
            invalid: false,
            source: source.into(),
        }
    }

    pub(super) fn not_sent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(NOT_SENT, source)
    }

    /// SQS did not take a message.
    pub(super) fn refused(error: SdkError<SendMessageError>) -> Self {
        let code = error.code().unwrap_or_default();
        let invalid = code.starts_with("InvalidParameterValue");
        Self {
            invalid,
            ..Self::not_sent(error)
        }
    }
}

/// With its causes: the SDK's own errors say little by themselves.
impl fmt::Display for SqsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        std::iter::successors(self.source(), |error| (*error).source())
            .try_for_each(|error| write!(f, ": {error}"))
    }
}

impl Error for SqsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// As `Display`: what the SDK's own errors show may hold an answer of SQS's, with the messages in it.
impl fmt::Debug for SqsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqsError").field(&self.to_string()).finish()
    }
}
