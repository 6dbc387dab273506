//! The unary operations.

use std::sync::mpsc;

use aws_sdk_bedrockruntime::{
    operation::count_tokens::CountTokensInput,
    types::{ConverseTokensRequest, CountTokensInput as Counted},
};
use tower_bedrock_core::{Completion, HasCompletion, TokenUsage};

use crate::{
    MODEL, ask, converse, invoke_model, message,
    server::{Reply, Server},
    service,
};

const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello."}]}},
    "stopReason":"end_turn","metrics":{"latencyMs":5},
    "usage":{"inputTokens":10,"outputTokens":2,"totalTokens":12,"cacheReadInputTokens":3}}"#;

#[tokio::test]
async fn converse_tells_its_usage_from_the_body() {
    let server = Server::always(Reply::json(ANSWER)).await;
    let mut answer = ask(&service(&server), converse()).await.unwrap();

    let usage = TokenUsage {
        input: 10,
        output: 2,
        cache_read: 3,
        cache_write: 0,
    };
    assert_eq!(answer.usage(), Some(usage));
    let (sender, receiver) = mpsc::channel();
    answer.on_completion(move |completion| sender.send(*completion).unwrap());
    assert_eq!(receiver.try_recv(), Ok(Completion::complete(Some(usage))));

    let text = answer
        .output()
        .output()
        .unwrap()
        .as_message()
        .unwrap()
        .content()[0]
        .as_text();
    assert_eq!(text.unwrap(), "Hello.");
    assert_eq!(
        server.only_request().path,
        "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse"
    );
}

#[tokio::test]
async fn an_answer_without_usage_does_not_claim_to_cost_nothing() {
    let server = Server::healthy().await;
    let answer = ask(&service(&server), converse()).await.unwrap();
    assert_eq!(answer.usage(), None);
}

#[tokio::test]
async fn invoke_model_tells_its_usage_from_headers() {
    let counts = [
        ("content-type", "application/json"),
        ("x-amzn-bedrock-input-token-count", "11"),
        ("X-Amzn-Bedrock-Output-Token-Count", "7"),
        ("x-amzn-bedrock-cache-read-input-token-count", "5"),
        ("x-amzn-bedrock-cache-write-input-token-count", "6"),
    ];
    let server = Server::start(move |request| match &request.body[..] {
        b"counted" => Reply::new(200, &counts, r#"{"answer":1}"#),
        _ => Reply::json(r#"{"answer":2}"#),
    })
    .await;
    let service = service(&server);

    let answer = ask(&service, invoke_model("counted")).await.unwrap();
    assert_eq!(
        answer.usage(),
        Some(TokenUsage {
            input: 11,
            output: 7,
            cache_read: 5,
            cache_write: 6,
        })
    );
    assert_eq!(answer.output().body().as_ref(), br#"{"answer":1}"#);

    // The next answer says nothing, and nothing is left of the one before.
    let answer = ask(&service, invoke_model("not counted")).await.unwrap();
    assert_eq!(answer.usage(), None);
}

#[tokio::test]
async fn calls_at_the_same_time_keep_their_usage_apart() {
    let server = Server::start(|request| {
        let count = String::from_utf8(request.body.clone()).unwrap();
        Reply::new(200, &[("x-amzn-bedrock-input-token-count", &count)], "{}")
    })
    .await;
    let service = service(&server);

    let calls = (0..50).map(|n: u64| {
        let service = service.clone();
        async move {
            (
                n,
                ask(&service, invoke_model(&n.to_string())).await.unwrap(),
            )
        }
    });
    for (n, answer) in futures_util::future::join_all(calls).await {
        assert_eq!(answer.usage().unwrap().input, n);
    }
}

#[tokio::test]
async fn count_tokens_costs_nothing() {
    let server = Server::always(Reply::json(r#"{"inputTokens":42}"#)).await;
    let request = ConverseTokensRequest::builder()
        .messages(message("Count me."))
        .build();
    let input = CountTokensInput::builder()
        .model_id(MODEL)
        .input(Counted::Converse(request))
        .build()
        .unwrap();
    let answer = ask(&service(&server), input).await.unwrap();

    assert_eq!(answer.output().input_tokens(), 42);
    assert_eq!(answer.usage(), None);
    let request = server.only_request();
    assert!(request.path.ends_with("/count-tokens"));
    assert_eq!(
        request.json()["input"]["converse"]["messages"][0]["content"][0]["text"],
        "Count me."
    );
}
