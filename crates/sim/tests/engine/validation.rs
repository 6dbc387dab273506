//! What the real service would refuse.

use bedrock_sim::{Call, Denied, Exception, Operation, ServiceError, Simulator};
use tower_bedrock_core::{HasFault, Rejection};

use crate::support::{CLAUDE, NOVA, REGION, ask, call, last, prompt, target};

fn refused(simulator: &Simulator, call: &Call) -> ServiceError {
    match simulator.begin(call).unwrap_err() {
        Denied::Error(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn models_are_called_by_ids_they_have() {
    let simulator = Simulator::default();
    let unknown = "The provided model identifier is invalid.";
    let profile_only = |id: &str| {
        format!(
            "Invocation of model ID {id} with on-demand throughput isn't supported. Retry your request \
             with the ID or ARN of an inference profile that contains this model."
        )
    };
    let plain = "anthropic.claude-sonnet-4-20250514-v1:0";
    let arn = format!("arn:aws:bedrock:us-east-1::foundation-model/{plain}");
    for (region, id, message) in [
        (REGION, "acme.unknown-v1:0", unknown.to_owned()),
        (REGION, "us.acme.unknown-v1:0", unknown.to_owned()),
        (REGION, plain, profile_only(plain)),
        (REGION, &arn, profile_only(&arn)),
        // A route that this model has not.
        (REGION, "global.amazon.nova-lite-v1:0", unknown.to_owned()),
        // A profile of another geography, and an ARN of another Region.
        ("eu-west-1", CLAUDE, unknown.to_owned()),
        (REGION, &format!("eu.{plain}"), unknown.to_owned()),
        (
            "us-west-2",
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
            unknown.to_owned(),
        ),
    ] {
        let mut call = call(id, 10);
        call.region = region.parse().unwrap();
        let error = refused(&simulator, &call);
        assert_eq!(
            (error.exception(), error.status()),
            (Exception::Validation, 400)
        );
        assert_eq!(error.message(), message, "{id} in {region}");
        let entry = last(&simulator);
        assert_eq!(
            (entry.outcome, entry.status, entry.model.as_str()),
            ("validation", Some(400), id)
        );
    }
    for (region, id) in [
        (REGION, "amazon.nova-lite-v1:0"),
        (
            REGION,
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
        ),
        ("ca-central-1", "us.amazon.nova-lite-v1:0"),
        ("ap-northeast-1", "apac.amazon.nova-lite-v1:0"),
        (
            "ap-northeast-1",
            "jp.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            "sa-east-1",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
    ] {
        let mut call = call(id, 10);
        call.region = region.parse().unwrap();
        simulator.begin(&call).unwrap().complete();
    }
}

#[test]
fn regions_cannot_be_invented() {
    let simulator = Simulator::default();
    let mut call = call(NOVA, 10);
    call.region = "mars-north-1".parse().unwrap();
    assert_eq!(
        refused(&simulator, &call).exception(),
        Exception::InvalidSignature
    );
    assert!(simulator.levels(&call.region, &call.model).is_none());
}

#[test]
fn max_tokens_are_within_the_models_range() {
    let simulator = Simulator::default();
    for (operation, max_tokens, message) in [
        (
            Operation::Converse,
            0,
            "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            Operation::ConverseStream,
            10_001,
            "The maximum tokens you requested exceeds the model limit of 10000. Try again with a maximum tokens value that is lower than 10000.",
        ),
        (
            Operation::InvokeModel,
            0,
            "max_tokens: Input should be greater than or equal to 1",
        ),
        (
            Operation::InvokeModelWithResponseStream,
            10_001,
            "max_tokens: 10001 > 10000, which is the maximum allowed number of output tokens for amazon.nova-lite-v1:0",
        ),
    ] {
        let mut call = call(NOVA, 10).with_max_tokens(max_tokens);
        call.operation = operation;
        let error = refused(&simulator, &call);
        assert_eq!(error.exception(), Exception::Validation);
        assert_eq!(error.message(), message);
    }
    simulator
        .begin(&call(NOVA, 10).with_max_tokens(10_000))
        .unwrap()
        .complete();
}

#[test]
fn a_mistake_uses_up_no_fault() {
    let simulator = Simulator::default();
    simulator
        .add_fault(bedrock_sim::FaultSpec::once(bedrock_sim::FaultName::Reset))
        .unwrap();
    refused(&simulator, &call("acme.unknown-v1:0", 10));
    assert_eq!(simulator.begin(&call(NOVA, 10)).unwrap_err(), Denied::Reset);
}

#[test]
fn what_a_face_refuses_is_in_the_ledger() {
    let simulator = Simulator::default();
    let error = ServiceError::validation("messages: at least one message is required");
    let long = "x".repeat(1_000_000);
    simulator.refused("Converse", simulator.default_region(), &long, &error);
    let entry = last(&simulator);
    assert_eq!((entry.outcome, entry.status), ("validation", Some(400)));
    assert!(entry.model.len() <= 2_048);
}

#[test]
fn the_ledger_forgets_the_oldest() {
    let config = bedrock_sim::Config {
        ledger_entries: 3,
        ..Default::default()
    };
    let simulator = Simulator::new(config).unwrap();
    let held = simulator.begin(&call(NOVA, 10)).unwrap();
    for _ in 0..4 {
        simulator.begin(&call(NOVA, 10)).unwrap().complete();
    }
    held.complete(); // forgotten already: no other entry is touched
    let ledger = simulator.ledger();
    let numbers: Vec<u64> = ledger.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!((numbers, ledger.forgotten), (vec![2, 3, 4], 2));
}

/// A policy's rejection becomes the leaf's error, and its fault is seen, boxed or not.
#[tokio::test(start_paused = true)]
async fn errors_of_policies_fit_in() {
    #[derive(Debug, thiserror::Error)]
    #[error("closed")]
    struct Closed(#[source] tower_bedrock_core::Fault);
    impl Rejection for Closed {}

    let closed = tower_bedrock_core::Fault::new(tower_bedrock_core::FaultKind::CircuitOpen);
    let error = bedrock_sim::SimulatedError::from(Closed(closed));
    assert_eq!(error.fault(), closed);
    let error = error.update_history(|history| history.attempts += 2);
    assert_eq!(error.history().unwrap().attempts, 2);

    let simulator = Simulator::default();
    let error = ask(&simulator, prompt(1, 1).to(target("acme.unknown")))
        .await
        .unwrap_err();
    let fault = error.fault();
    let boxed: tower_bedrock_core::BoxError = error.into();
    assert_eq!(boxed.fault(), fault);
}
