//! What the program sends to CloudWatch, and what Prometheus reads beside it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use bytes::Bytes;
use http::Request;
use support::{BODY, CONVERSE, Fake, read, soon};

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

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn metrics_are_sent_once_more_when_the_gateway_stops() {
    let (mut bedrock, mut cloudwatch) = (Fake::new().await, Fake::new().await);
    let (address, metrics) = (free(), free());
    let more = format!(
        "[metrics]\nlisten = \"{metrics}\"\n[cloudwatch]\nnamespace = \"Test\"\nperiod = \"1h\"\n"
    );
    let toml = support::config(&bedrock.url(), &more).replace("127.0.0.1:0", &address.to_string());
    let file = format!("bedrock-gateway-cloudwatch-{}.toml", std::process::id());
    let file = std::env::temp_dir().join(file);
    std::fs::write(&file, toml).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_bedrock-gateway"))
        .arg("--config")
        .arg(&file)
        .env("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.url())
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "canary-secret")
        // So that its text can be read here.
        .env("AWS_DISABLE_REQUEST_COMPRESSION", "true")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(program.try_wait().unwrap().is_none(), "it has ended");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    std::fs::remove_file(file).unwrap();

    tokio::join!(support::post(address, CONVERSE, BODY), async {
        let usage = r#"{"usage":{"inputTokens":3,"outputTokens":5},"output":"canary"}"#;
        bedrock.call().await.answer(200, &[], usage).await;
    });
    let request = Request::get("/metrics").body(Bytes::new()).unwrap();
    let scraped = read(support::open(metrics, request).await).await.unwrap();
    assert!(scraped.text().contains("Requests{"), "{scraped:?}");
    assert!(!cloudwatch.was_called(), "an hour has not passed");

    let id = program.id().to_string();
    assert!(Command::new("kill").arg(id).status().unwrap().success());
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
    let ended = soon(tokio::task::spawn_blocking(move || program.wait())).await;
    assert!(ended.unwrap().unwrap().success());
}
