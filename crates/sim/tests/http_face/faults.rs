use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{CLAUDE, Server, decode, header, hello, hello_anthropic, payload};

const TOO_MANY_TOKENS: &str = "Too many tokens, please wait before trying again.";

#[tokio::test]
async fn service_faults_have_bedrocks_wire_form() {
    let server = Server::start().await;
    for (kind, status, name, message) in [
        (
            "throttle_requests",
            429,
            "ThrottlingException",
            "Too many requests",
        ),
        (
            "throttle_tokens",
            429,
            "ThrottlingException",
            TOO_MANY_TOKENS,
        ),
        (
            "throttle_tokens_per_day",
            429,
            "ThrottlingException",
            "Too many tokens per day",
        ),
        (
            "overloaded",
            429,
            "ThrottlingException",
            "is currently overloaded",
        ),
        (
            "model_not_ready",
            429,
            "ModelNotReadyException",
            "not ready",
        ),
        (
            "too_many_connections",
            503,
            "ServiceUnavailableException",
            "Too many connections",
        ),
        (
            "unavailable",
            503,
            "ServiceUnavailableException",
            "temporarily unavailable",
        ),
        ("internal", 500, "InternalServerException", ""),
        ("overloaded_529", 529, "overloaded_error", "Overloaded"),
        ("model_timeout", 408, "ModelTimeoutException", ""),
        ("model_error", 424, "ModelErrorException", ""),
    ] {
        server.fault(json!({ "kind": kind })).await;
        let answer = server.call(CLAUDE, "converse", &hello()).await;
        answer.is_exception(status, name, message);
        assert!(!answer.headers.contains_key("retry-after"), "{kind}");
        // Streams fail in the same way where they fail before they begin.
        server.fault(json!({ "kind": kind })).await;
        let answer = server
            .call(CLAUDE, "invoke-with-response-stream", &hello_anthropic())
            .await;
        answer.is_exception(status, name, message);
    }
    server
        .fault(json!({ "kind": "model_error", "message": "No, thanks." }))
        .await;
    let body = server.call(CLAUDE, "converse", &hello()).await.json();
    assert_eq!(
        body,
        json!({ "message": "No, thanks.", "originalStatusCode": 500, "resourceName": CLAUDE })
    );
    server.fault(json!({ "kind": "overloaded_529" })).await;
    let body = server.call(CLAUDE, "converse", &hello()).await.json();
    assert_eq!(body["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn retry_after_is_in_the_clients_time() {
    let server = Server::start().await;
    for (simulated, real) in [(1, "1"), (5_000, "5"), (5_001, "6")] {
        server
            .fault(json!({ "kind": "overloaded_529", "retry_after": simulated }))
            .await;
        let answer = server.call(CLAUDE, "converse", &hello()).await;
        assert_eq!(answer.header("retry-after"), real);
    }
}

#[tokio::test]
async fn a_load_balancers_page_is_html_and_names_no_exception() {
    let server = Server::start().await;
    server.fault(json!({ "kind": "html_503" })).await;
    let answer = server.call(CLAUDE, "converse", &hello()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert_eq!(answer.header("x-bedrock-sim"), "true");
    assert!(!answer.headers.contains_key("x-amzn-errortype"));
    assert!(answer.body.starts_with(b"<html>"));
}

#[tokio::test]
async fn a_reset_cuts_the_connection_without_an_answer() {
    let server = Server::start().await;
    server.fault(json!({ "kind": "reset" })).await;
    let path = format!("/model/{CLAUDE}/converse");
    let request = server.request(Method::POST, &path, &hello().to_string());
    let error = server.send(request).await.unwrap_err();
    assert_eq!(
        io_error(&error),
        Some(std::io::ErrorKind::ConnectionReset),
        "{error:?}"
    );
}

#[tokio::test]
async fn service_faults_in_a_stream_are_exception_frames() {
    let server = Server::start().await;
    for (kind, name, message) in [
        ("throttle_tokens", "throttlingException", TOO_MANY_TOKENS),
        (
            "unavailable",
            "serviceUnavailableException",
            "temporarily unavailable",
        ),
        ("internal", "internalServerException", ""),
        ("model_error", "modelStreamErrorException", ""),
        ("model_timeout", "modelTimeoutException", ""),
    ] {
        for (at, before) in [
            (json!("first_event"), 0),
            (json!({ "after_deltas": 0 }), 1),
            (json!({ "after_deltas": 2 }), 3),
            (json!({ "after_deltas": 99 }), 4),
        ] {
            server.fault(json!({ "kind": kind, "at": at })).await;
            let answer = server.call(CLAUDE, "converse-stream", &hello()).await;
            assert_eq!(answer.status, 200);
            let frames = answer.frames();
            assert_eq!(frames.len(), before + 1, "{kind} {at}");
            let last = frames.last().unwrap();
            assert_eq!(header(last, ":message-type"), "exception");
            assert_eq!(header(last, ":exception-type"), name);
            assert!(payload(last)["message"].as_str().unwrap().contains(message));
        }
    }
}

#[tokio::test]
async fn a_reset_in_a_stream_comes_after_what_was_sent_before() {
    let server = Server::start().await;
    server
        .fault(json!({ "kind": "reset", "at": { "after_deltas": 2 } }))
        .await;
    let mut body = server.open(CLAUDE, "converse-stream", &hello()).await;
    let mut received = Vec::new();
    let error = loop {
        match body.frame().await.expect("the body has no clean end") {
            Ok(frame) => received.extend_from_slice(frame.data_ref().unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(decode(&received).unwrap().len(), 3);
    assert_eq!(
        io_error(&error),
        Some(std::io::ErrorKind::ConnectionReset),
        "{error:?}"
    );
    let entry = server.simulator.ledger().entries.pop().unwrap();
    assert_eq!((entry.outcome, entry.output_tokens), ("transport", 8));
}

#[tokio::test]
async fn a_corrupt_frame_has_a_bad_checksum() {
    let server = Server::start().await;
    for at in [json!("first_event"), json!({ "after_deltas": 1 })] {
        server.fault(json!({ "kind": "corrupt", "at": at })).await;
        let answer = server.call(CLAUDE, "converse-stream", &hello()).await;
        let error = decode(&answer.body).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}

#[tokio::test]
async fn quotas_throttle_over_http_as_well() {
    let server = Server::start().await;
    let quota = json!({ "requests_per_minute": 1, "window": "fixed" });
    let path = format!("/_sim/models/{CLAUDE}");
    assert_eq!(server.control(Method::PUT, &path, &quota).await.status, 204);
    // A window ends every 60 ms here, so it may take a few.
    let body = hello();
    let throttled = async {
        loop {
            let calls = (0..4).map(|_| server.call(CLAUDE, "converse", &body));
            let answers = futures_util::future::join_all(calls).await;
            if let Some(answer) = answers.into_iter().find(|answer| answer.status != 200) {
                return answer;
            }
        }
    };
    throttled
        .await
        .is_exception(429, "ThrottlingException", "Too many requests");
    assert_eq!(
        server
            .control(Method::POST, "/_sim/reset", &Value::Null)
            .await
            .status,
        204
    );
}

fn io_error(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind)
}
