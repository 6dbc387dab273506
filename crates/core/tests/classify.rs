//! Every row of Bedrock's error table, in every form the wire has for it.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tower_bedrock_core::{ErrorResponse, FaultKind, retry_after};

const TABLE: &[(u16, &str, &str, FaultKind)] = {
    use FaultKind::*;
    &[
        (
            429,
            "ThrottlingException",
            "Too many requests, please wait before trying again.",
            ThrottledRequests,
        ),
        (
            429,
            "ThrottlingException",
            "Your request rate is too high. Reduce the frequency.",
            ThrottledRequests,
        ),
        (
            429,
            "ThrottlingException",
            "Too many tokens, please wait before trying again.",
            ThrottledTokens,
        ),
        (
            429,
            "ThrottlingException",
            "Too many tokens per day, please wait before trying again.",
            ThrottledTokensPerDay,
        ),
        (
            429,
            "ThrottlingException",
            "Model us.a.b is currently overloaded. Please try again later.",
            ModelOverloaded,
        ),
        (429, "ThrottlingException", "Rate exceeded", Throttled),
        (
            429,
            "ModelNotReadyException",
            "The model is not ready.",
            ModelNotReady,
        ),
        (
            503,
            "ServiceUnavailableException",
            "Too many connections, please wait before trying again.",
            TooManyConnections,
        ),
        (
            503,
            "ServiceUnavailableException",
            "Service temporarily unavailable, please try again.",
            Unavailable,
        ),
        (
            503,
            "ServiceUnavailableException",
            "Bedrock is unable to process your request.",
            Unavailable,
        ),
        (500, "InternalServerException", "", Internal),
        (529, "overloaded_error", "Overloaded", Overloaded),
        (408, "ModelTimeoutException", "", ModelTimeout),
        (424, "ModelErrorException", "", ModelError),
        (424, "ModelStreamErrorException", "", ModelStreamError),
        (
            400,
            "ValidationException",
            "Input is too long. Too many tokens.",
            Validation,
        ),
        (403, "AccessDeniedException", "", AccessDenied),
        (403, "UnrecognizedClientException", "", AccessDenied),
        (403, "InvalidSignatureException", "", AccessDenied),
        (404, "ResourceNotFoundException", "", ResourceNotFound),
        (404, "UnknownOperationException", "", ResourceNotFound),
        (
            400,
            "ServiceQuotaExceededException",
            "",
            ServiceQuotaExceeded,
        ),
    ]
};

fn kind(status: Option<u16>, exception: Option<&str>, message: &str) -> FaultKind {
    let error = ErrorResponse {
        status,
        exception,
        message,
        retry_after: None,
    };
    error.classify().kind()
}

#[test]
fn a_name_decides_in_every_form_of_the_wire() {
    for &(status, name, message, expected) in TABLE {
        let header = format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/");
        let body = format!("com.amazon.coral.service#{name}");
        let in_stream = name[..1].to_lowercase() + &name[1..];
        assert_eq!(kind(Some(status), Some(name), message), expected, "{name}");
        assert_eq!(
            kind(Some(status), Some(&header), message),
            expected,
            "{header}"
        );
        assert_eq!(kind(Some(status), Some(&body), message), expected, "{body}");
        assert_eq!(
            kind(None, Some(&in_stream), message),
            expected,
            "{in_stream}"
        );
    }
}

#[test]
fn a_message_never_overrules_the_type() {
    // opencode#39623 and crewAI#7613 took "Too many tokens" for a context overflow, and the reverse.
    assert_eq!(
        kind(Some(400), Some("ValidationException"), "Too many tokens"),
        FaultKind::Validation
    );
    assert_eq!(
        kind(Some(429), None, "input is too long"),
        FaultKind::Throttled
    );
    assert_eq!(
        kind(Some(503), Some("ServiceUnavailableException"), "overloaded"),
        FaultKind::Unavailable
    );
}

#[test]
fn without_a_name_the_status_decides() {
    let cases = [
        (400, FaultKind::Validation),
        (401, FaultKind::AccessDenied),
        (403, FaultKind::AccessDenied),
        (404, FaultKind::ResourceNotFound),
        (408, FaultKind::ModelTimeout),
        (413, FaultKind::Validation),
        (424, FaultKind::ModelError),
        (429, FaultKind::Throttled),
        (500, FaultKind::Internal),
        (502, FaultKind::Transport),
        (503, FaultKind::Transport),
        (504, FaultKind::Transport),
        (529, FaultKind::Overloaded),
        (200, FaultKind::Unknown),
        (302, FaultKind::Unknown),
    ];
    for (status, expected) in cases {
        assert_eq!(kind(Some(status), None, "<html>"), expected, "{status}");
    }
    assert_eq!(kind(None, None, ""), FaultKind::Unknown);
}

#[test]
fn an_unknown_name_falls_back_to_the_status() {
    assert_eq!(
        kind(Some(400), Some("ConflictException"), ""),
        FaultKind::Validation
    );
    assert_eq!(
        kind(Some(503), Some("SomethingNewException"), ""),
        FaultKind::Unavailable
    );
    assert_eq!(
        kind(None, Some("SomethingNewException"), ""),
        FaultKind::Unknown
    );
}

#[test]
fn every_kind_with_an_exception_is_found_by_it() {
    for kind in FaultKind::ALL {
        if let Some(exception) = kind.exception() {
            let found = super_kind(exception);
            assert_eq!(found.exception(), Some(exception), "{kind}");
        }
    }
    fn super_kind(exception: &str) -> FaultKind {
        kind(None, Some(exception), "")
    }
}

fn headers<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
    |name| {
        pairs
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }
}

#[test]
fn when_to_come_back_is_read_in_every_form() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
    let after = |pairs: &[(&str, &str)]| retry_after(headers(pairs), now);
    let seconds = Duration::from_secs;

    assert_eq!(after(&[]), None);
    assert_eq!(after(&[("retry-after", " 90 ")]), Some(seconds(90)));
    assert_eq!(
        after(&[("x-amz-retry-after", "1500")]),
        Some(Duration::from_millis(1_500))
    );
    assert_eq!(
        after(&[("x-amz-retry-after", "1500"), ("retry-after", "1")]),
        Some(Duration::from_millis(1_500))
    );
    assert_eq!(
        after(&[("x-amz-retry-after", "500"), ("retry-after", "1")]),
        Some(seconds(1))
    );
    assert_eq!(
        after(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]),
        Some(seconds(60))
    );
    // The server's own clock is a day ahead of ours: only the difference counts.
    let skewed = [
        ("retry-after", "Mon, 07 Nov 1994 08:50:07 GMT"),
        ("date", "Mon, 07 Nov 1994 08:49:37 GMT"),
    ];
    assert_eq!(after(&skewed), Some(seconds(30)));
    assert_eq!(
        after(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]),
        Some(seconds(0))
    );
    for nonsense in ["-1", "soon", "1.5", "", "99999999999999999999999"] {
        assert_eq!(
            after(&[("retry-after", nonsense), ("x-amz-retry-after", nonsense)]),
            None,
            "{nonsense}"
        );
    }
    assert_eq!(
        after(&[("retry-after", "18446744073709551615")]),
        Some(seconds(u64::MAX))
    );
}

proptest! {
    #[test]
    fn no_input_panics(
        status in any::<Option<u16>>(),
        exception in proptest::option::of(".*"),
        message in ".*",
        value in ".*",
    ) {
        kind(status, exception.as_deref(), &message);
        retry_after(|_| Some(value.as_str()), SystemTime::now());
    }
}
