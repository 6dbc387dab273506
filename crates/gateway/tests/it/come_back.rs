//! A throttled client that comes back after its `Retry-After` is served.

use std::time::Duration;

use bedrock_gateway::Signer;

use crate::support::{Answer, BODY, CONVERSE, Clock, Fake, Running, Simulated, config};

/// Quotas that Bedrock might have: six calls a minute, or more where they are small.
const QUOTAS: [&str; 4] = [
    "requests_per_minute = 6",
    "requests_per_minute = 6\nwindow = \"fixed\"",
    "requests_per_minute = 6\nwindow = \"bucket\"",
    // Requests are the built-in model's, which is more than enough.
    "tokens_per_minute = 1_200",
];

/// Small.
const CALL: &str = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"inferenceConfig":{"maxTokens":20}}"#;

async fn gateway(upstream: &Simulated, more: &str) -> Running {
    Running::start(&config(&upstream.url(), more), Signer::nobody()).await
}

/// Calls until it is throttled, and when to come back.
async fn until_throttled(gateway: &Running) -> (u32, u64) {
    for served in 0..50 {
        let answer = gateway.post(CONVERSE, CALL).await;
        if answer.status != 200 {
            return (served, retry_after(&answer));
        }
    }
    panic!("it was not throttled");
}

fn retry_after(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 429);
    answer.header("retry-after").parse().unwrap()
}

/// Calls come at some time, until they are throttled and come back when they are told to.
async fn comes_back(clock: &Clock, quota: &str, more: &str) {
    let simulated = Simulated::new(quota).await;
    let gateway = gateway(&simulated, more).await;
    clock.leap(Duration::from_secs(40)).await;
    for _ in 0..3 {
        let (served, after) = until_throttled(&gateway).await;
        assert!(served >= 6, "{quota}, {more}: {served} served");
        assert_eq!(after, 60, "{quota}, {more}");
        clock.leap(Duration::from_secs(after)).await;
    }
}

#[tokio::test]
async fn whichever_way_the_quota_comes_back() {
    let clock = Clock::start();
    for quota in QUOTAS {
        comes_back(&clock, quota, "").await;
    }
}

#[tokio::test]
async fn whatever_is_taken_for_the_quota() {
    let clock = Clock::start();
    for quota in QUOTAS {
        for declared in [
            "",
            "requests_per_minute = 100",
            "tokens_per_minute = 100_000",
        ] {
            comes_back(&clock, quota, &format!("[[quota]]\n{declared}")).await;
        }
    }
}

#[tokio::test]
async fn as_the_next_retry_would_where_it_is_nobodys_quota() {
    let mut fake = Fake::new().await;
    let retry = "[retry]\nmax_attempts = 3\nbase_delay = \"1ms\"\nmax_delay = \"3s\"\n[[quota]]\n";
    let gateway = Running::new(&fake, retry).await;
    let not_ready = [("x-amzn-errortype", "ModelNotReadyException")];
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        for _ in 0..3 {
            fake.call().await.answer(429, &not_ready, "{}").await;
        }
    });
    // The third would have waited for 8 ms: 2 ms, as a model that warms up takes, doubled twice.
    assert_eq!(retry_after(&answer), 1);
}

#[tokio::test]
async fn counting_tokens_waits_for_no_quota_of_other_calls() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[[quota]]\nrequests_per_minute = 1\n").await;
    tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(200, &[], "{}").await;
    });
    let count = CONVERSE.replace("converse", "count-tokens");
    let throttled = [("x-amzn-errortype", "ThrottlingException")];
    let (answer, ()) = tokio::join!(gateway.post(&count, BODY), async {
        fake.call().await.answer(429, &throttled, "{}").await;
    });
    assert_eq!(retry_after(&answer), 60);
}
