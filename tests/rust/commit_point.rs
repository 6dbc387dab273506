//! The policies around the SDK leaf, on both sides of a stream's commit point: before its first content a
//! fault inside the HTTP 200 is retried or falls like any other, after it no policy can help, and says so.

use aws_sdk_bedrockruntime::{
    operation::converse_stream::ConverseStreamInput,
    types::{ContentBlock, ConversationRole, Message},
};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_bedrock::{
    ConverseEvents, FaultKind, HasCompletion, HasFault, StandardStack,
    fallback::{Alternative, Chain, FallbackLayer},
};
use tower_bedrock_service::Error;

use crate::{
    call::read_converse,
    local::{Local, MODEL},
};

/// Tokens a day are shared by the models of a Region, so the way out is another one.
const ALTERNATIVE: &str = "us-west-2";

/// A stream through the standard stack with a fallback.
async fn open(local: &Local) -> Result<ConverseEvents, Error> {
    let elsewhere = Alternative::region(ALTERNATIVE.parse().unwrap());
    let chain = Chain::new(MODEL.parse().unwrap()).or(elsewhere);
    let stack = StandardStack::new()
        .unwrap()
        .with_fallback(FallbackLayer::new([chain]).unwrap());
    let leaf = local.bedrock();
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text("Hello.".to_owned()))
        .build()
        .unwrap();
    let input = ConverseStreamInput::builder()
        .model_id(MODEL)
        .messages(message)
        .build()
        .unwrap();
    let invocation = leaf.invocation(input).unwrap();
    stack.layer(leaf).oneshot(invocation).await
}

/// Fails one model's streams in the given way.
fn fail(local: &Local, mut fault: Value) {
    fault["model"] = json!(MODEL);
    local.fault(fault);
}

#[tokio::test]
async fn a_fault_in_the_first_frame_is_retried() {
    let local = Local::direct().await;
    fail(
        &local,
        json!({"kind": "unavailable", "at": "first_event", "times": 1}),
    );
    let mut events = open(&local).await.unwrap();
    assert_eq!(events.history().unwrap().attempts, 2);
    assert!(read_converse(&mut events).await.unwrap().usage.is_some());
    assert_eq!(local.simulator.ledger().entries.len(), 2);
}

#[tokio::test]
async fn a_fault_in_the_first_frame_that_no_retry_mends_falls() {
    let local = Local::direct().await;
    fail(
        &local,
        json!({"kind": "throttle_tokens_per_day", "at": "first_event", "times": 1}),
    );
    let mut events = open(&local).await.unwrap();
    let history = events.history().unwrap().clone();
    let served_by = history.served_by.unwrap();
    assert_eq!(served_by.region().as_str(), ALTERNATIVE);
    let faults: Vec<_> = history
        .failed_hops
        .iter()
        .map(|hop| hop.fault.kind())
        .collect();
    assert_eq!(faults, [FaultKind::ThrottledTokensPerDay]);
    assert!(read_converse(&mut events).await.unwrap().usage.is_some());
    assert_eq!(local.simulator.ledger().entries.len(), 2);
}

#[tokio::test]
async fn a_fault_after_the_first_content_is_the_streams_error_and_nobody_elses() {
    let local = Local::direct().await;
    fail(
        &local,
        json!({"kind": "unavailable", "at": {"after_deltas": 2}}),
    );
    let mut events = open(&local).await.unwrap();
    let error = read_converse(&mut events).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Unavailable);
    assert_eq!(local.simulator.ledger().entries.len(), 1);
}
