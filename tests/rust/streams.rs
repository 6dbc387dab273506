//! Streams that fail: before their first content an error of the call, after it an explicit error of the
//! stream, never a clean end.

use std::sync::{Arc, Mutex};

use aws_sdk_bedrockruntime::types::ConverseStreamOutput;
use serde_json::{Value, json};
use tokio::time::Duration;
use tower_bedrock_core::{Completion, Fault, FaultKind, HasCompletion, HasFault, Outcome};
use tower_bedrock_service::{BedrockService, ConverseEvents, Error};

use crate::{
    call::{Operation, open_converse, read_converse},
    local::Local,
};

const DELTAS: usize = 3;

/// Faults that can come inside the HTTP 200, and what policies must make of them there.
const IN_STREAM: &[(&str, FaultKind)] = &[
    ("throttle_requests", FaultKind::ThrottledRequests),
    ("throttle_tokens", FaultKind::ThrottledTokens),
    ("throttle_tokens_per_day", FaultKind::ThrottledTokensPerDay),
    ("overloaded", FaultKind::ModelOverloaded),
    ("too_many_connections", FaultKind::TooManyConnections),
    ("unavailable", FaultKind::Unavailable),
    ("internal", FaultKind::Internal),
    ("model_error", FaultKind::ModelStreamError),
];

#[tokio::test]
async fn a_first_frame_with_an_exception_is_an_error_of_the_call() {
    for local in Local::both().await {
        let bedrock = local.bedrock();
        for (name, kind) in IN_STREAM {
            for operation in Operation::STREAMING {
                local.fault(json!({"kind": name, "at": "first_event", "times": 1}));
                // Opened, and not read: the error is the call's.
                let error = match operation {
                    Operation::ConverseStream => open_error(&bedrock).await,
                    _ => operation.call(&bedrock, "Hello.").await.unwrap_err(),
                };
                assert_eq!(
                    error.fault().kind(),
                    *kind,
                    "{name}, {operation:?}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_cut_or_corrupt_first_frame_is_an_error_of_the_call() {
    for local in Local::both().await {
        let bedrock = local.bedrock();
        for kind in ["reset", "corrupt"] {
            local.fault(json!({"kind": kind, "at": "first_event", "times": 1}));
            open_error(&bedrock).await;
        }
    }
}

#[tokio::test]
async fn an_exception_after_some_deltas_is_an_error_of_the_stream() {
    for local in Local::both().await {
        let bedrock = local.bedrock();
        for (name, kind) in IN_STREAM {
            local.fault(after_deltas(name));
            let (deltas, error, completion) = read(&bedrock).await;
            assert_eq!(deltas, DELTAS, "{name}");
            assert_eq!(error.fault().kind(), *kind, "{name}: {error}");
            assert_eq!(
                completion.outcome,
                Outcome::Failed(Fault::new(*kind)),
                "{name}"
            );
            assert!(completion.time_to_first_token.is_some());
        }
    }
}

#[tokio::test]
async fn a_cut_after_some_deltas_is_an_error_of_the_stream() {
    for local in Local::both().await {
        local.fault(after_deltas("reset"));
        let (deltas, error, completion) = read(&local.bedrock()).await;
        // What was under way when the connection was reset may be lost with it.
        assert!((1..=DELTAS).contains(&deltas), "{deltas}");
        assert!(matches!(completion.outcome, Outcome::Failed(_)), "{error}");
        assert_eq!(completion.usage, None);
    }
}

#[tokio::test]
async fn a_bad_checksum_after_some_deltas_is_an_error_of_the_stream() {
    for local in Local::both().await {
        local.fault(after_deltas("corrupt"));
        let (deltas, error, completion) = read(&local.bedrock()).await;
        assert_eq!(deltas, DELTAS, "{error}");
        assert!(matches!(completion.outcome, Outcome::Failed(_)));
    }
}

#[tokio::test]
async fn deltas_arrive_as_they_are_produced() {
    for local in Local::both().await {
        // The stream stalls for good after some deltas: whoever waits for its end has none to show.
        local.fault(after_deltas("hang"));
        let builder = BedrockService::builder().stream_idle_timeout(Duration::from_secs(2));
        let (deltas, error, _) = read(&local.bedrock_with(builder)).await;
        assert_eq!(deltas, DELTAS);
        assert_eq!(error.fault().kind(), FaultKind::Timeout);
    }
}

#[tokio::test]
async fn a_stream_dropped_early_tells_so_and_cancels_its_call() {
    for local in Local::both().await {
        local.fault(after_deltas("hang"));
        let mut events = open_converse(&local.bedrock(), "Hello.").await.unwrap();
        let completion = watch(&mut events);
        drop(events);
        assert_eq!(told(&completion).outcome, Outcome::Dropped);

        // The simulator hears of it when the connection closes.
        let ended = async {
            while local.simulator.ledger().entries[0].outcome == "in_flight" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .expect("the call goes on upstream");
        assert_eq!(local.simulator.ledger().entries[0].outcome, "dropped");
    }
}

#[tokio::test]
async fn a_whole_stream_tells_its_cost() {
    for local in Local::both().await {
        let mut events = open_converse(&local.bedrock(), "Hello.").await.unwrap();
        let completion = watch(&mut events);
        let whole = read_converse(&mut events).await.unwrap();
        assert_eq!(told(&completion).outcome, Outcome::Complete);
        assert_eq!(told(&completion).usage, whole.usage);
        assert_eq!(whole.usage.unwrap().output, 20);
    }
}

/// Reads a stream that a fault strikes: the deltas before it, the error, and what observers were told.
async fn read(bedrock: &BedrockService) -> (usize, Error, Completion) {
    let mut events = open_converse(bedrock, "Hello.").await.unwrap();
    let completion = watch(&mut events);
    let mut deltas = 0;
    let error = loop {
        match events.recv().await {
            Ok(Some(ConverseStreamOutput::ContentBlockDelta(_))) => deltas += 1,
            Ok(Some(_)) => {}
            Ok(None) => panic!("a clean end after {deltas} deltas"),
            Err(error) => break error,
        }
    };
    assert!(
        events.recv().await.unwrap().is_none(),
        "nothing follows an error"
    );
    (deltas, error, told(&completion))
}

async fn open_error(bedrock: &BedrockService) -> Error {
    match open_converse(bedrock, "Hello.").await {
        Ok(_) => panic!("the stream was opened"),
        Err(error) => error,
    }
}

fn after_deltas(kind: &str) -> Value {
    json!({"kind": kind, "operation": "ConverseStream", "at": {"after_deltas": DELTAS}, "times": 1})
}

type Told = Arc<Mutex<Vec<Completion>>>;

fn watch(events: &mut ConverseEvents) -> Told {
    let told = Told::default();
    let observer = told.clone();
    events.on_completion(move |completion| observer.lock().unwrap().push(*completion));
    told
}

/// What observers were told, which must be once.
fn told(told: &Told) -> Completion {
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0]
}
