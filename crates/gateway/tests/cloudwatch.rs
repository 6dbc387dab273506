//! What the program sends to CloudWatch, and what Prometheus reads beside it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bytes::Bytes;
use http::Request;
use support::{BODY, CONVERSE, Fake, Program, read};

/// CloudWatch's answer: an empty map in CBOR.
const TAKEN: [(&str, &str); 2] = [
    ("smithy-protocol", "rpc-v2-cbor"),
    ("content-type", "application/cbor"),
];
const EMPTY_MAP: [u8; 2] = [0xbf, 0xff];

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn metrics_are_sent_once_more_when_the_gateway_stops() {
    let (mut bedrock, mut cloudwatch) = (Fake::new().await, Fake::new().await);
    let more = "[metrics]\nlisten = \"127.0.0.1:0\"\n[cloudwatch]\nnamespace = \"Test\"\nperiod = \"1h\"\n";
    let env = [
        ("AWS_ENDPOINT_URL_CLOUDWATCH", &*cloudwatch.url()),
        // So that its text can be read here.
        ("AWS_DISABLE_REQUEST_COMPRESSION", "true"),
    ];
    let program = Program::start(&support::config(&bedrock.url(), more), &env).await;
    let (address, metrics) = (program.address, program.metrics_address.unwrap());

    tokio::join!(support::post(address, CONVERSE, BODY), async {
        let usage = r#"{"usage":{"inputTokens":3,"outputTokens":5},"output":"canary"}"#;
        bedrock.call().await.answer(200, &[], usage).await;
    });
    let request = Request::get("/metrics").body(Bytes::new()).unwrap();
    let scraped = read(support::open(metrics, request).await).await.unwrap();
    assert!(scraped.text().contains("Requests{"), "{scraped:?}");
    assert!(!cloudwatch.was_called(), "an hour has not passed");

    program.terminate().await;
    let call = cloudwatch.call().await;
    assert!(call.path.ends_with("/PutMetricData"), "{}", call.path);
    let scope = "/us-east-1/monitoring/aws4_request";
    assert!(call.header("authorization").contains(scope));
    for name in [
        "Test",
        "Requests",
        "OutputTokenCount",
        "RequestLatency",
        support::MODEL,
    ] {
        assert!(contains(&call.body, name), "{name}");
    }
    assert!(!contains(&call.body, "canary"));
    call.answer(200, &TAKEN, EMPTY_MAP).await;
    assert!(program.ended().await.success());
}
