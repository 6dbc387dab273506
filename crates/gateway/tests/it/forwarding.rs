//! Bytes pass as they are, in both directions.

use bedrock_gateway::Operation;
use bytes::Bytes;
use http::Request;

use crate::support::{self, CONVERSE, Fake, MODEL, Running};

#[tokio::test]
async fn a_call_of_every_operation_arrives_and_returns_as_it_was_sent() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    // Not as anyone would write it, so that whoever re-encodes it is found out.
    let sent = "{ \"messages\" :[],\"x\":1.50e1,\"y\":\"\\u00e9\" }";
    let answered = b"{ \"output\" : null,\n\"z\":\"\\u00e9\"}";
    for operation in [
        Operation::Converse,
        Operation::InvokeModel,
        Operation::CountTokens,
    ] {
        for model in [
            "a.b-v1%3A0",
            "a.b-v1:0",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.a.b",
        ] {
            let path = format!("/model/{model}/{}", operation.segment());
            let request = Request::post(&path)
                .header("content-type", "application/json")
                .header("x-amzn-bedrock-trace", "ENABLED")
                .header("cookie", "secret")
                .body(Bytes::from(sent))
                .unwrap();
            let (answer, ()) = tokio::join!(gateway.send(request), async {
                let call = fake.call().await;
                assert_eq!((&*call.method, &*call.path), ("POST", &*path));
                assert_eq!(call.body, sent.as_bytes());
                assert_eq!(call.header("host"), fake.address.to_string());
                assert_eq!(call.header("content-type"), "application/json");
                assert_eq!(call.header("x-amzn-bedrock-trace"), "ENABLED");
                assert_eq!(call.header("cookie"), "");
                let headers = [
                    ("x-amzn-requestid", "upstream-id"),
                    ("x-amzn-bedrock-input-token-count", "3"),
                    ("content-type", "application/x-custom"),
                    ("connection", "keep-alive"),
                ];
                call.answer(200, &headers, answered).await;
            });
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, &answered[..]);
            assert_eq!(answer.header("x-amzn-requestid"), "upstream-id");
            assert_eq!(answer.header("x-amzn-bedrock-input-token-count"), "3");
            assert_eq!(answer.header("content-type"), "application/x-custom");
        }
    }
}

#[tokio::test]
async fn other_paths_of_the_runtime_pass_through() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (method, path) in [
        (
            "GET",
            "/async-invoke?maxResults=5&statusEquals=In%20Progress",
        ),
        ("POST", "/async-invoke"),
        ("POST", "/guardrail/g1/version/DRAFT/apply"),
        ("POST", "/model/a.b/something-new"),
        ("POST", "/openai/v1/chat/completions"),
    ] {
        let sent = if method == "GET" { "" } else { "not JSON" };
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Bytes::from(sent)).unwrap();
        let (answer, ()) = tokio::join!(gateway.send(request), async {
            let call = fake.call().await;
            assert_eq!((&*call.method, &*call.path), (method, path));
            assert_eq!(call.body, sent.as_bytes());
            call.answer(418, &[("x-amzn-errortype", "NewException")], "a teapot")
                .await;
        });
        assert_eq!((answer.status.as_u16(), answer.text()), (418, "a teapot"));
        assert_eq!(answer.header("x-amzn-errortype"), "NewException");
        assert!(!answer.header("x-amzn-requestid").is_empty());
    }
}

#[tokio::test]
async fn errors_keep_their_wire_form() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let body = "{\"message\":\"Too many tokens, please wait before trying again.\"}";
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, support::BODY), async {
        let headers = [
            (
                "x-amzn-errortype",
                "ThrottlingException:http://internal.amazon.com/",
            ),
            ("x-amzn-requestid", "upstream-id"),
            ("retry-after", "7"),
        ];
        fake.call().await.answer(429, &headers, body).await;
    });
    assert_eq!((answer.status.as_u16(), answer.text()), (429, body));
    assert_eq!(
        answer.header("x-amzn-errortype"),
        "ThrottlingException:http://internal.amazon.com/"
    );
    assert_eq!(answer.header("retry-after"), "7");
    assert_eq!(answer.header("x-amzn-requestid"), "upstream-id");

    // What no model of the API has is passed on all the same.
    let overloaded = "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}";
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, support::BODY), async {
        fake.call().await.answer(529, &[], overloaded).await;
    });
    assert_eq!((answer.status.as_u16(), answer.text()), (529, overloaded));
}

#[tokio::test]
async fn a_load_balancers_page_becomes_an_error_that_sdks_know() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, support::BODY), async {
        let page = "<html>503 Service Unavailable</html>";
        let headers = [("content-type", "text/html")];
        fake.call().await.answer(503, &headers, page).await;
    });
    answer.error(503, "ServiceUnavailableException");
}

#[tokio::test]
async fn what_cannot_be_sent_on_is_refused_in_bedrocks_form() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, body, says) in [
        (CONVERSE, "{\"messages\":", "not JSON"),
        ("/model/a%20b/converse", "{}", "model id"),
        ("/model/a.b%2F..%2Fc/converse", "{}", "path"),
        ("/model/a.b/invoke-with-bidirectional-stream", "", "HTTP/2"),
    ] {
        let message = gateway
            .post(path, body)
            .await
            .error(400, "ValidationException");
        assert!(message.contains(says), "{message}");
    }
    let answer = gateway.post("/_sim/reset", "").await;
    answer.error(404, "UnknownOperationException");
    assert!(!fake.was_called());
}

#[tokio::test]
async fn health_and_readiness() {
    let fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for path in ["/healthz", "/readyz"] {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        assert_eq!(gateway.send(request).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_connection_to_the_upstream_is_used_again() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for _ in 0..5 {
        let (answer, ()) = tokio::join!(gateway.post(CONVERSE, support::BODY), async {
            fake.call().await.answer(200, &[], "{}").await;
        });
        assert_eq!(answer.status, 200);
    }
    assert_eq!(fake.open(), 1);
}

#[test]
fn the_paths_of_the_tests_are_those_of_their_model() {
    assert!(CONVERSE.contains(&MODEL.replace(':', "%3A")));
}
