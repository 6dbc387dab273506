//! What goes wrong, told apart; each with exactly one call made.

use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use aws_sdk_bedrockruntime::{
    config::{Region, SharedCredentialsProvider},
    error::SdkError,
    operation::converse::{ConverseError, ConverseInput},
};
use aws_types::SdkConfig;
use tokio::net::TcpListener;
use tower::BoxError;
use tower_bedrock_core::{Fault, FaultKind, HasFault};
use tower_bedrock_service::{BedrockService, Error, InvalidInput};

use crate::{
    ask, aws_config, converse, converse_stream, invoke_model,
    server::{Reply, Server},
    service,
};

async fn error_of(reply: Reply) -> Error {
    let server = Server::always(reply).await;
    let error = ask(&service(&server), converse()).await.unwrap_err();
    server.only_request();
    error
}

#[tokio::test]
async fn each_exception_is_its_fault() {
    use FaultKind as K;
    let table = [
        (
            429,
            "ThrottlingException",
            "Too many requests, please wait before trying again.",
            K::ThrottledRequests,
        ),
        (
            429,
            "ThrottlingException",
            "Too many tokens, please wait before trying again.",
            K::ThrottledTokens,
        ),
        (
            429,
            "ThrottlingException",
            "Too many tokens per day, please wait.",
            K::ThrottledTokensPerDay,
        ),
        (
            429,
            "ThrottlingException",
            "Model X is currently overloaded. Please try again later.",
            K::ModelOverloaded,
        ),
        (429, "ThrottlingException", "Slow down.", K::Throttled),
        (
            429,
            "ModelNotReadyException",
            "Not ready.",
            K::ModelNotReady,
        ),
        (
            503,
            "ServiceUnavailableException",
            "Too many connections, please wait before trying again.",
            K::TooManyConnections,
        ),
        (
            503,
            "ServiceUnavailableException",
            "Service temporarily unavailable, please try again.",
            K::Unavailable,
        ),
        (500, "InternalServerException", "Oops.", K::Internal),
        (408, "ModelTimeoutException", "Timed out.", K::ModelTimeout),
        (
            424,
            "ModelErrorException",
            "The model failed.",
            K::ModelError,
        ),
        (
            400,
            "ValidationException",
            "max_tokens is too large.",
            K::Validation,
        ),
        (403, "AccessDeniedException", "No.", K::AccessDenied),
        (403, "UnrecognizedClientException", "Who?", K::AccessDenied),
        (
            404,
            "ResourceNotFoundException",
            "No such model.",
            K::ResourceNotFound,
        ),
        // An exception that the SDK's model of the operation does not list.
        (
            400,
            "ServiceQuotaExceededException",
            "Too much.",
            K::ServiceQuotaExceeded,
        ),
    ];
    for (status, exception, message, kind) in table {
        let error = error_of(Reply::error(status, exception, message)).await;
        assert_eq!(error.fault(), Fault::new(kind), "{exception}: {message}");
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.exception(), Some(exception));
        assert_eq!(error.message(), Some(message));
        assert_eq!(error.request_id(), Some("request-1"));
    }
}

#[tokio::test]
async fn the_exceptions_of_a_stream_may_come_before_it() {
    let reply = Reply::error(429, "ThrottlingException", "Too many tokens.");
    let server = Server::always(reply).await;
    let error = ask(&service(&server), converse_stream()).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::ThrottledTokens);
    server.only_request();
}

#[tokio::test]
async fn retry_after_is_read_in_either_form() {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let overloaded = |header| Reply::new(529, &[header], body);
    let table = [
        (("retry-after", "7"), Some(Duration::from_secs(7))),
        (
            ("x-amz-retry-after", "1500"),
            Some(Duration::from_millis(1_500)),
        ),
        (("x-other", "7"), None),
    ];
    for (header, retry_after) in table {
        let fault = error_of(overloaded(header)).await.fault();
        assert_eq!(fault.kind(), FaultKind::Overloaded);
        assert_eq!(fault.retry_after(), retry_after);
    }
}

#[tokio::test]
async fn a_load_balancers_page_is_no_answer_of_bedrocks() {
    let html = "<html><body>503 Service Temporarily Unavailable</body></html>";
    let error = error_of(Reply::new(503, &[("content-type", "text/html")], html)).await;
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    assert_eq!(error.status(), Some(503));
}

#[tokio::test]
async fn a_broken_connection_is_transport_wherever_it_breaks() {
    let whole = Reply::json(r#"{"stopReason":"end_turn"}"#);
    let head = whole.len() - r#"{"stopReason":"end_turn"}"#.len();
    // Before the first byte, amid the status line, amid the headers, amid the body.
    for bytes in [0, 5, head - 10, head + 5] {
        let error = error_of(whole.clone().cut_at(bytes)).await;
        assert_eq!(
            error.fault().kind(),
            FaultKind::Transport,
            "{bytes} bytes: {error}"
        );
    }
    let other = error_of(Reply::raw("SSH-2.0-OpenSSH_9.9\r\n\r\n")).await;
    assert_eq!(other.fault().kind(), FaultKind::Transport, "{other}");
    let garbled = error_of(Reply::json(r#"{"stopReason":"#)).await;
    assert_eq!(garbled.fault().kind(), FaultKind::Transport, "{garbled}");
}

#[tokio::test]
async fn a_refused_connection_is_transport() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let service = BedrockService::new(&aws_config().endpoint_url(url).build()).unwrap();
    let error = ask(&service, invoke_model("{}")).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    assert_eq!(error.status(), None);
}

#[tokio::test]
async fn missing_credentials_are_the_callers_mistake() {
    #[derive(Debug)]
    struct None;

    impl ProvideCredentials for None {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let none = CredentialsError::not_loaded("none here");
            future::ProvideCredentials::ready(Err(none))
        }
    }

    let server = Server::healthy().await;
    let config = SdkConfig::builder()
        .region(Region::new("us-east-1"))
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(None))
        .build();
    let service = BedrockService::new(&config).unwrap();
    let error = ask(&service, converse()).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::AccessDenied);
    assert!(error.to_string().starts_with("call not sent"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn the_sdks_own_error_can_be_had() {
    let error = error_of(Reply::error(400, "ValidationException", "Too long.")).await;
    let sdk = error.downcast_ref::<SdkError<ConverseError>>().unwrap();
    assert!(sdk.as_service_error().unwrap().is_validation_exception());
}

#[tokio::test]
async fn a_boxed_error_still_says_what_went_wrong() {
    let error = error_of(Reply::error(429, "ThrottlingException", "Too many tokens.")).await;
    let boxed: BoxError = error.into();
    assert_eq!(boxed.fault().kind(), FaultKind::ThrottledTokens);

    // The chain ends at what AWS wrote.
    let chain: Vec<_> = std::iter::successors(boxed.source(), |&error| error.source())
        .map(ToString::to_string)
        .collect();
    assert!(
        chain.last().unwrap().contains("Too many tokens."),
        "{chain:?}"
    );
}

#[tokio::test]
async fn a_wrong_input_becomes_an_error_of_the_service() {
    async fn fallible(service: &BedrockService) -> Result<(), Error> {
        service.invocation(ConverseInput::builder().build().unwrap())?;
        Ok(())
    }

    let service = BedrockService::new(&aws_config().build()).unwrap();
    let error = fallible(&service).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Validation);
    assert!(error.downcast_ref::<InvalidInput>().is_some());
}

#[test]
fn a_policys_rejection_becomes_an_error_of_the_service() {
    #[derive(Debug, thiserror::Error)]
    #[error("the door is closed")]
    struct Closed(#[source] Fault);

    impl tower_bedrock_core::Rejection for Closed {}

    let fault = Fault::new(FaultKind::CircuitOpen).with_retry_after(Duration::from_secs(3));
    let error = Error::from(Closed(fault)).update_history(|history| history.attempts = 2);
    assert_eq!(error.fault(), fault);
    assert_eq!(error.history().unwrap().attempts, 2);
    assert!(error.downcast_ref::<Closed>().is_some());
    assert_eq!(
        error.to_string(),
        "call turned away: circuit_open (retry after 3s)"
    );
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}
