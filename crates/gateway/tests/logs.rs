//! What is logged of a call, and what never is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::Request;
use sha2::{Digest, Sha256};
use support::{CONVERSE, CONVERSE_STREAM, Fake, INVOKE_STREAM, Running, eventually, frames, read};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The events of calls that have ended.
    fn answered(&self) -> Vec<serde_json::Value> {
        self.events("answered")
    }

    fn events(&self, message: &str) -> Vec<serde_json::Value> {
        let events = self.text();
        events
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|event| event["message"] == message)
            .collect()
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that anyone in this process logs, at every level.
fn capture() -> (Logs, tracing::subscriber::DefaultGuard) {
    let logs = Logs::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_env_filter(EnvFilter::new("trace"))
        .with_writer(logs.clone())
        .finish();
    // The tests' runtime has one thread, this one.
    (logs, tracing::subscriber::set_default(subscriber))
}

const KEY: &str = "canary-key";

async fn gateway(fake: &Fake) -> Running {
    let hash = hex::encode(Sha256::digest(KEY));
    let client = format!("[[client]]\nname = \"team-a\"\nkey_sha256 = \"{hash}\"");
    let toml = support::config(&fake.url(), &client);
    let signer = bedrock_gateway::Signer::bearer("canary-token").unwrap();
    Running::start(&toml, signer).await
}

fn request(path: &str) -> Request<Bytes> {
    let body = r#"{"messages":[{"content":[{"text":"canary-prompt"}]}]}"#;
    Request::post(path)
        .header("authorization", format!("Bearer {KEY}"))
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn one_event_a_call_with_what_came_of_it() {
    let (logs, _guard) = capture();
    let mut fake = Fake::new().await;
    let gateway = gateway(&fake).await;

    let usage = r#"{"usage":{"inputTokens":3,"outputTokens":5}}"#;
    tokio::join!(gateway.send(request(CONVERSE)), async {
        let headers = [("x-amzn-requestid", "upstream-id")];
        fake.call().await.answer(200, &headers, usage).await;
    });
    tokio::join!(gateway.send(request(CONVERSE)), async {
        let headers = [("x-amzn-errortype", "ThrottlingException:http://x")];
        fake.call().await.answer(429, &headers, "{}").await;
    });
    let (response, ()) = tokio::join!(gateway.open(request(CONVERSE_STREAM)), async {
        let mut call = fake.call().await;
        call.begin_stream().await;
        call.chunk(frames::Whole::converse().bytes()).await;
        call.end_stream().await;
    });
    read(response).await.unwrap();
    eventually("all calls are logged", || logs.answered().len() == 3).await;

    let events = logs.answered();
    let expected = [
        ("Converse", 200, "complete", "INFO"),
        ("Converse", 429, "error", "INFO"),
        ("ConverseStream", 200, "complete", "INFO"),
    ];
    for (event, (operation, status, outcome, level)) in events.iter().zip(expected) {
        assert_eq!(event["operation"], operation);
        assert_eq!(event["status"], status);
        assert_eq!(event["outcome"], outcome);
        assert_eq!(event["level"], level);
        assert_eq!(event["client"], "team-a");
        assert_eq!(event["attempts"], 1);
        assert_eq!(event["target"], format!("us-east-1/{}", support::MODEL));
        assert!(event["duration_ms"].is_u64());
        assert_eq!(event["request_id"].as_str().unwrap().len(), 36);
    }
    assert_eq!(events[0]["upstream_request_id"], "upstream-id");
    assert_eq!(events[1]["exception"], "ThrottlingException");
    assert_eq!(events[1]["fault"], "throttled");
    for event in [&events[0], &events[2]] {
        assert_eq!(
            (&event["input_tokens"], &event["output_tokens"]),
            (&3.into(), &5.into())
        );
    }
    assert!(events[2]["time_to_first_token_ms"].is_u64());
}

/// What the usual query of CloudWatch Logs Insights finds, `filter @message like /ThrottlingException/`, are the
/// attempts that failed so, once each, beside the answer that the client got.
#[tokio::test]
async fn one_event_a_failed_attempt_with_what_follows() {
    let (logs, _guard) = capture();
    let mut fake = Fake::new().await;
    let retry = "[retry]\nmax_attempts = 2\nbase_delay = \"5ms\"\nmax_delay = \"5ms\"\n";
    let gateway = Running::new(&fake, retry).await;
    tokio::join!(gateway.send(request(CONVERSE)), async {
        for _ in 0..2 {
            let headers = [("x-amzn-errortype", "ThrottlingException:http://x")];
            fake.call().await.answer(429, &headers, "{}").await;
        }
    });
    eventually("the call is logged", || logs.answered().len() == 1).await;

    let found: Vec<_> = logs
        .text()
        .lines()
        .filter(|line| line.contains("ThrottlingException"))
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, ["attempt failed", "attempt failed", "answered"]);
    let failed = logs.events("attempt failed");
    for (event, number) in failed.iter().zip(1..) {
        assert_eq!(event["level"], "WARN");
        assert_eq!(event["exception"], "ThrottlingException");
        assert_eq!(event["fault"], "throttled");
        let target = format!("us-east-1/{}", support::MODEL);
        assert_eq!(event["bedrock.target"], target);
        assert_eq!(event["attempt"], number);
    }
    assert!(failed[0]["delay_ms"].as_u64().unwrap() <= 5);
    assert_eq!(failed[1]["delay_ms"], serde_json::Value::Null);
    assert_eq!(failed[1]["gave_up"], "max_attempts");
}

#[tokio::test]
async fn a_stream_that_breaks_and_a_client_that_goes_are_told_apart() {
    let (logs, _guard) = capture();
    let mut fake = Fake::new().await;
    let gateway = gateway(&fake).await;
    let begun = frames::Whole::converse().begun();

    let (response, ()) = tokio::join!(gateway.open(request(CONVERSE_STREAM)), async {
        let mut call = fake.call().await;
        call.begin_stream().await;
        call.chunk(&begun).await;
        call.reset();
    });
    assert!(read(response).await.is_err());
    let (response, mut call) = tokio::join!(gateway.open(request(CONVERSE_STREAM)), async {
        let mut call = fake.call().await;
        call.begin_stream().await;
        call.chunk(&begun).await;
        call
    });
    drop(response);
    call.closed().await;
    eventually("all calls are logged", || logs.answered().len() == 2).await;

    let events = logs.answered();
    assert_eq!(
        (&events[0]["outcome"], &events[0]["level"]),
        (&"failed".into(), &"WARN".into())
    );
    assert_eq!(events[0]["fault"], "transport");
    assert_eq!(events[1]["outcome"], "dropped");
    assert_eq!(events[1]["attempts"], 1);
}

#[tokio::test]
async fn neither_bodies_nor_keys_are_logged_at_any_level() {
    let (logs, _guard) = capture();
    let mut fake = Fake::new().await;
    let gateway = gateway(&fake).await;
    let answer = r#"{"message":"canary-answer"}"#;

    for status in [200, 400, 503] {
        tokio::join!(gateway.send(request(CONVERSE)), async {
            let call = fake.call().await;
            assert_eq!(call.header("authorization"), "Bearer canary-token");
            call.answer(status, &[], answer).await;
        });
    }
    tokio::join!(
        gateway.send(request("/guardrail/g/version/1/apply")),
        async {
            fake.call().await.answer(200, &[], answer).await;
        }
    );
    for path in [CONVERSE_STREAM, INVOKE_STREAM] {
        for broken in [
            frames::exception("throttlingException", "canary-answer"),
            frames::corrupt(frames::event("contentBlockDelta", answer)),
        ] {
            let (response, ()) = tokio::join!(gateway.open(request(path)), async {
                let mut call = fake.call().await;
                call.begin_stream().await;
                call.chunk(broken).await;
                call.end_stream().await;
            });
            read(response).await.unwrap();
        }
    }
    // Not JSON, and a key that is nobody's.
    let mut malformed = request(CONVERSE);
    *malformed.body_mut() = "canary-prompt".into();
    gateway.send(malformed).await;
    let mut stranger = request(CONVERSE);
    let key = "Bearer canary-stranger".parse().unwrap();
    stranger.headers_mut().insert("authorization", key);
    gateway.send(stranger).await;

    eventually("all calls are logged", || logs.answered().len() == 10).await;
    let text = logs.text();
    assert!(!text.contains("canary"), "{text}");
}
