//! Scripted faults: what each comes to.

use bedrock_sim::{FaultName, FaultSpec, ModelSettings, Simulator};
use tokio::time::{Duration, Instant, timeout};
use tower_bedrock_core::{FaultKind, HasFault};

use crate::support::{ACME, CLAUDE, acme, ask, last, prompt, target, tokens_used};

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
