//! Scripted faults: whom they strike, when and how often.

use bedrock_sim::{Denied, FaultName, FaultSpec, Operation, Simulator};
use tokio::time::{Duration, advance};

use crate::support::{CLAUDE, NOVA, call};

/// Which of so many calls a fault struck, one call every second.
async fn struck(
    simulator: &Simulator,
    model: &str,
    operation: Operation,
    calls: usize,
) -> Vec<usize> {
    let mut struck = Vec::new();
    for number in 0..calls {
        let mut call = call(model, 10).with_max_tokens(10);
        call.operation = operation;
        if simulator.begin(&call).is_err() {
            struck.push(number);
        }
        advance(Duration::from_secs(1)).await;
    }
    struck
}

#[tokio::test(start_paused = true)]
async fn a_fault_strikes_as_often_as_it_is_told_and_no_more() {
    let simulator = Simulator::default();
    let fault = FaultSpec {
        times: Some(3),
        ..FaultSpec::new(FaultName::Internal)
    };
    simulator.add_fault(fault).unwrap();
    assert_eq!(
        struck(&simulator, CLAUDE, Operation::Converse, 6).await,
        [0, 1, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_has_its_time_counted_from_when_it_was_added() {
    let simulator = Simulator::default();
    advance(Duration::from_secs(1_000)).await;
    let fault = FaultSpec {
        from_ms: Some(2_000),
        until_ms: Some(4_000),
        ..FaultSpec::new(FaultName::Internal)
    };
    simulator.add_fault(fault).unwrap();
    assert_eq!(
        struck(&simulator, CLAUDE, Operation::Converse, 6).await,
        [2, 3]
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_strikes_the_models_and_operations_it_names() {
    let simulator = Simulator::default();
    let fault = FaultSpec {
        operation: Some(Operation::InvokeModel),
        ..FaultSpec::new(FaultName::Internal).for_model("us.anthropic.*-4-2025????-v1:0")
    };
    simulator.add_fault(fault).unwrap();
    assert_eq!(
        struck(&simulator, CLAUDE, Operation::InvokeModel, 1).await,
        [0]
    );
    assert!(
        struck(&simulator, CLAUDE, Operation::Converse, 1)
            .await
            .is_empty()
    );
    assert!(
        struck(&simulator, NOVA, Operation::InvokeModel, 1)
            .await
            .is_empty()
    );
    // The id as called counts, not the model behind it.
    let other_route = "global.anthropic.claude-sonnet-4-20250514-v1:0";
    assert!(
        struck(&simulator, other_route, Operation::InvokeModel, 1)
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_inside_a_stream_leaves_other_operations_alone() {
    let simulator = Simulator::default();
    let fault: FaultSpec =
        serde_json::from_str(r#"{"kind": "internal", "at": "first_event"}"#).unwrap();
    simulator.add_fault(fault).unwrap();
    assert!(
        struck(&simulator, CLAUDE, Operation::Converse, 1)
            .await
            .is_empty()
    );
    let mut streamed = call(CLAUDE, 10);
    streamed.operation = Operation::InvokeModelWithResponseStream;
    let admitted = simulator.begin(&streamed).unwrap();
    assert!(admitted.plan().disruption().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_first_fault_added_goes_first() {
    let simulator = Simulator::default();
    simulator
        .add_fault(FaultSpec::once(FaultName::Unavailable))
        .unwrap();
    simulator
        .add_fault(FaultSpec::once(FaultName::Reset))
        .unwrap();
    let denied = [(); 2].map(|()| simulator.begin(&call(CLAUDE, 1)).unwrap_err());
    assert!(matches!(&denied[0], Denied::Error(error) if error.status() == 503));
    assert_eq!(denied[1], Denied::Reset);
    simulator
        .begin(&call(CLAUDE, 1).with_max_tokens(1))
        .unwrap()
        .complete();
}

#[tokio::test(start_paused = true)]
async fn a_probable_fault_strikes_its_share_and_the_same_calls_again() {
    let run = |seed| async move {
        let config = bedrock_sim::Config {
            seed,
            ..Default::default()
        };
        let simulator = Simulator::new(config).unwrap();
        let fault = FaultSpec {
            probability: Some(0.3),
            ..FaultSpec::new(FaultName::Internal)
        };
        simulator.add_fault(fault).unwrap();
        struck(&simulator, NOVA, Operation::Converse, 2_000).await
    };
    let first = run(1).await;
    // 600 expected; five standard deviations are 102.
    assert!(first.len().abs_diff(600) < 102, "{}", first.len());
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn faults_can_be_taken_back() {
    let simulator = Simulator::default();
    let first = simulator
        .add_fault(FaultSpec::new(FaultName::Internal))
        .unwrap();
    let second = simulator
        .add_fault(FaultSpec::new(FaultName::Reset))
        .unwrap();
    assert_ne!(first, second);
    assert!(simulator.remove_fault(first));
    assert!(!simulator.remove_fault(first));
    assert_eq!(
        simulator.begin(&call(CLAUDE, 1)).unwrap_err(),
        Denied::Reset
    );
    simulator.clear_faults();
    simulator.begin(&call(CLAUDE, 1)).unwrap().complete();
}

#[test]
fn faults_that_cannot_be_are_refused_with_a_reason() {
    let simulator = Simulator::default();
    for (json, complaint) in [
        (
            r#"{"kind": "internal", "times": 0}"#,
            "fault.times is 0: expected at least 1",
        ),
        (
            r#"{"kind": "internal", "probability": 1.5}"#,
            "fault.probability is 1.5: expected more than 0, and at most 1",
        ),
        (
            r#"{"kind": "internal", "probability": 0}"#,
            "fault.probability is 0: expected more than 0",
        ),
        (
            r#"{"kind": "internal", "from_ms": 5, "until_ms": 5}"#,
            "fault.until_ms is 5: expected more than from_ms",
        ),
        (
            r#"{"kind": "internal", "model": ""}"#,
            "fault.model is 0 bytes long",
        ),
        (
            r#"{"kind": "corrupt"}"#,
            "fault.at is not set: expected first_event or after_deltas",
        ),
        (
            r#"{"kind": "corrupt", "operation": "Converse", "at": "first_event"}"#,
            "fault.operation is Converse",
        ),
        (
            r#"{"kind": "reset", "operation": "CountTokens", "at": {"after_deltas": 1}}"#,
            "fault.operation is CountTokens",
        ),
        (
            r#"{"kind": "slow", "at": "first_event"}"#,
            "fault.at is set: expected nothing",
        ),
        (
            r#"{"kind": "html_503", "at": "first_event"}"#,
            "fault.at is set: expected nothing",
        ),
        (
            r#"{"kind": "hang", "message": "..."}"#,
            "fault.message is set: expected nothing",
        ),
        (
            r#"{"kind": "reset", "retry_after": 1}"#,
            "fault.retry_after is set: expected nothing",
        ),
        (
            r#"{"kind": "internal", "at": "first_event", "retry_after": 1}"#,
            "fault.retry_after is set: expected nothing",
        ),
        (
            r#"{"kind": "internal", "retry_after": 99999999999}"#,
            "fault.retry_after is 99999999999: expected 0 to 31536000",
        ),
    ] {
        let error = simulator
            .add_fault(serde_json::from_str(json).unwrap())
            .unwrap_err();
        assert!(error.to_string().starts_with(complaint), "{json}: {error}");
    }
    for json in [
        r#"{"kind": "nonsense"}"#,
        r#"{"kind": "internal", "tiems": 1}"#,
        r#"{"kind": "internal", "at": "second_event"}"#,
        r#"{"model": "*"}"#,
    ] {
        assert!(serde_json::from_str::<FaultSpec>(json).is_err(), "{json}");
    }
}
