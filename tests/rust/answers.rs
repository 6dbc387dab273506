//! Every operation through the SDK leaf, straight to the simulator and through the gateway.

use tokio::task::JoinSet;

use crate::{
    call::{Operation, Whole},
    local::Local,
};

const PROMPT: &str = "Name the four largest moons of Jupiter.";

#[tokio::test]
async fn an_answer_is_whole_and_says_what_it_cost() {
    for local in Local::both().await {
        let bedrock = local.bedrock();
        let counted = Operation::CountTokens.call(&bedrock, PROMPT).await.unwrap();
        assert_eq!(counted.usage, None, "counting is free");
        let input: u64 = counted.text.parse().unwrap();

        for operation in Operation::ALL {
            if operation == Operation::CountTokens {
                continue;
            }
            let answer = operation.call(&bedrock, PROMPT).await.unwrap();
            assert!(
                answer.text.contains("simulated"),
                "{operation:?}: {answer:?}"
            );
            let usage = answer.usage.unwrap();
            assert_eq!((usage.input, usage.output), (input, 20), "{operation:?}");
        }
    }
}

#[tokio::test]
async fn a_prompt_of_five_megabytes() {
    let prompt = "moons of Jupiter ".repeat(310_000);
    assert!(prompt.len() > 5 * 1024 * 1024);
    for local in Local::both().await {
        let bedrock = local.bedrock();
        for operation in [
            Operation::Converse,
            Operation::InvokeModelWithResponseStream,
        ] {
            let answer = operation.call(&bedrock, &prompt).await.unwrap();
            assert!(answer.usage.unwrap().input > 500_000, "{operation:?}");
        }
    }
}

#[tokio::test]
async fn streams_run_side_by_side_on_clones() {
    for local in Local::both().await {
        let bedrock = local.bedrock();
        let mut calls = JoinSet::new();
        for number in 0..32_usize {
            let bedrock = bedrock.clone();
            let operation = Operation::STREAMING[number % 2];
            calls.spawn(async move {
                let prompt = "again ".repeat(number + 1);
                let alone = Operation::Converse.call(&bedrock, &prompt).await.unwrap();
                let streamed = operation.call(&bedrock, &prompt).await.unwrap();
                assert_eq!(streamed, alone, "{number}");
            });
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
    }
}

#[tokio::test]
async fn the_leaf_asks_once_whatever_the_answer() {
    let local = Local::direct().await;
    local.fault(serde_json::json!({"kind": "unavailable"}));
    let answer: Result<Whole, _> = Operation::Converse.call(&local.bedrock(), PROMPT).await;
    assert_eq!(answer.unwrap_err().status(), Some(503));
    assert_eq!(local.simulator.ledger().entries.len(), 1);
}
