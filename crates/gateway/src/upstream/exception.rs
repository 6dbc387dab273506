use http::StatusCode;
use tower_bedrock_core::{ErrorResponse, Fault, FaultKind};

/// The status of an `overloaded_error`, which has no name.
const OVERLOADED: u16 = 529;

/// An exception that Bedrock sent inside a stream, where the HTTP status said 200 long ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    name: String,
    message: String,
}

impl Exception {
    /// An exception by the name a stream gives it (`throttlingException`).
    pub(super) fn new(name: &str, message: &str) -> Self {
        Self {
            name: name.to_owned(),
            message: message.to_owned(),
        }
    }

    /// What went wrong, for policies.
    pub(super) fn fault(&self) -> Fault {
        ErrorResponse {
            status: None,
            exception: Some(&self.name),
            message: &self.message,
            retry_after: None,
        }
        .classify()
    }

    /// The name as unary answers write it: `ThrottlingException`, but `overloaded_error`, which is not Bedrock's.
    pub(crate) fn type_name(&self) -> String {
        let mut name = self.name.clone();
        if let Some(first) = name.get_mut(..1).filter(|_| !self.name.contains('_')) {
            first.make_ascii_uppercase();
        }
        name
    }

    /// The message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The status that a unary answer with this exception has. One that is not known is the server's.
    pub(crate) fn status(&self) -> StatusCode {
        match self.fault().kind() {
            FaultKind::Validation | FaultKind::ServiceQuotaExceeded => StatusCode::BAD_REQUEST,
            FaultKind::AccessDenied => StatusCode::FORBIDDEN,
            FaultKind::ResourceNotFound => StatusCode::NOT_FOUND,
            FaultKind::ModelTimeout => StatusCode::REQUEST_TIMEOUT,
            FaultKind::ModelError | FaultKind::ModelStreamError => StatusCode::FAILED_DEPENDENCY,
            FaultKind::TooManyConnections | FaultKind::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            FaultKind::ModelOverloaded | FaultKind::ModelNotReady => StatusCode::TOO_MANY_REQUESTS,
            kind if kind.is_throttle() => StatusCode::TOO_MANY_REQUESTS,
            FaultKind::Overloaded => {
                StatusCode::from_u16(OVERLOADED).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streams_exception_has_the_status_of_its_unary_form() {
        let cases = [
            ("throttlingException", 429, FaultKind::ThrottledTokens),
            ("internalServerException", 500, FaultKind::Internal),
            (
                "modelStreamErrorException",
                424,
                FaultKind::ModelStreamError,
            ),
            ("modelTimeoutException", 408, FaultKind::ModelTimeout),
            ("serviceUnavailableException", 503, FaultKind::Unavailable),
            ("validationException", 400, FaultKind::Validation),
            ("overloaded_error", 529, FaultKind::Overloaded),
            ("somethingNewException", 500, FaultKind::Unknown),
        ];
        for (name, status, kind) in cases {
            let exception = Exception::new(name, "Too many tokens, please wait.");
            assert_eq!(exception.status(), status, "{name}");
            assert_eq!(exception.fault().kind(), kind, "{name}");
        }
        let name = Exception::new("throttlingException", "").type_name();
        assert_eq!(name, "ThrottlingException");
        for unchanged in ["overloaded_error", ""] {
            assert_eq!(Exception::new(unchanged, "").type_name(), unchanged);
        }
    }
}
