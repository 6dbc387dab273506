//! Scripted faults: what each comes to, and whom it strikes.

use bedrock_sim::{Denied, FaultName, FaultSpec, ModelSettings, Operation, Simulator};
use tokio::time::{Duration, Instant, advance, timeout};
use tower_bedrock_core::{FaultKind, HasFault};

use crate::support::{ACME, CLAUDE, NOVA, acme, ask, call, last, prompt, target, tokens_used};

#[tokio::test(start_paused = true)]
async fn every_kind_answers_with_its_row_of_the_table() {
    use FaultName::*;
    let simulator = Simulator::default();
    let overloaded = format!("Model {CLAUDE} is currently overloaded. Please try again later.");
    for (kind, exception, status, message, fault) in [
        (
            ThrottleRequests,
            "ThrottlingException",
            429,
            "Too many requests, please wait before trying again.",
            FaultKind::ThrottledRequests,
        ),
        (
            ThrottleTokens,
            "ThrottlingException",
            429,
            "Too many tokens, please wait before trying again.",
            FaultKind::ThrottledTokens,
        ),
        (
            ThrottleTokensPerDay,
            "ThrottlingException",
            429,
            "Too many tokens per day, please wait before trying again.",
            FaultKind::ThrottledTokensPerDay,
        ),
        (
            Overloaded,
            "ThrottlingException",
            429,
            overloaded.as_str(),
            FaultKind::ModelOverloaded,
        ),
        (
            ModelNotReady,
            "ModelNotReadyException",
            429,
            "The model specified in the request is not ready to serve inference requests.",
            FaultKind::ModelNotReady,
        ),
        (
            TooManyConnections,
            "ServiceUnavailableException",
            503,
            "Too many connections, please wait before trying again.",
            FaultKind::TooManyConnections,
        ),
        (
            Unavailable,
            "ServiceUnavailableException",
            503,
            "Service temporarily unavailable, please try again.",
            FaultKind::Unavailable,
        ),
        (
            Internal,
            "InternalServerException",
            500,
            "The system encountered an unexpected error during processing. Try your request again.",
            FaultKind::Internal,
        ),
        (
            Overloaded529,
            "overloaded_error",
            529,
            "Overloaded",
            FaultKind::Overloaded,
        ),
        (
            ModelTimeout,
            "ModelTimeoutException",
            408,
            "Model has timed out in processing the request. Try your request again.",
            FaultKind::ModelTimeout,
        ),
        (
            ModelError,
            "ModelErrorException",
            424,
            "The request failed due to an error while processing the model.",
            FaultKind::ModelError,
        ),
    ] {
        simulator.add_fault(FaultSpec::once(kind)).unwrap();
        let error = ask(&simulator, prompt(10, 20).to(target(CLAUDE)))
            .await
            .unwrap_err();
        assert_eq!(error.fault().kind(), fault);
        let service_error = error.service_error().unwrap();
        assert_eq!(service_error.exception().name(), exception);
        assert_eq!(
            (service_error.status(), service_error.message()),
            (status, message)
        );
        let entry = last(&simulator);
        assert_eq!(
            (entry.status, entry.outcome),
            (Some(status), fault.as_str())
        );
        assert_eq!((entry.reserved, entry.settled), (0, 0));
    }
    assert_eq!(
        tokens_used(&simulator, CLAUDE),
        0,
        "a refused call costs nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn broken_connections_are_transport_faults() {
    let simulator = Simulator::default();
    for (kind, status) in [(FaultName::Html503, Some(503)), (FaultName::Reset, None)] {
        simulator.add_fault(FaultSpec::once(kind)).unwrap();
        let error = ask(&simulator, prompt(10, 20).to(target(CLAUDE)))
            .await
            .unwrap_err();
        assert_eq!(error.fault().kind(), FaultKind::Transport);
        assert_eq!(last(&simulator).status, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_holds_its_reservation_until_its_caller_gives_up() {
    let simulator = acme(ModelSettings {
        tokens_per_minute: Some(Some(100_000)),
        ..ModelSettings::default()
    });
    simulator
        .add_fault(FaultSpec::once(FaultName::Hang))
        .unwrap();
    let invocation = prompt(10, 20).with_max_output_tokens(90).to(target(ACME));
    let hanging = ask(&simulator, invocation);
    assert!(timeout(Duration::from_secs(30), hanging).await.is_err());
    let entry = last(&simulator);
    assert_eq!((entry.outcome, entry.status), ("dropped", None));
    assert_eq!((entry.reserved, entry.settled), (100, 10));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_takes_ten_times_as_long() {
    let simulator = acme(ModelSettings::default());
    simulator
        .add_fault(FaultSpec::once(FaultName::Slow))
        .unwrap();
    let began = Instant::now();
    ask(&simulator, prompt(10, 50).to(target(ACME)))
        .await
        .unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_fault_says_what_it_was_told_to_say() {
    let simulator = Simulator::default();
    let fault = FaultSpec {
        retry_after: Some(7),
        message: Some("Your request rate is too high. Reduce the frequency of requests.".into()),
        ..FaultSpec::once(FaultName::ThrottleRequests)
    };
    simulator.add_fault(fault).unwrap();
    let error = ask(&simulator, prompt(10, 20).to(target(CLAUDE)))
        .await
        .unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::ThrottledRequests);
    assert_eq!(error.fault().retry_after(), Some(Duration::from_secs(7)));
    assert!(error.to_string().contains("Reduce the frequency"));
}

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
