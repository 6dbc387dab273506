//! fallback(retry(breaker(leaf))) over the simulator, under each kind of fault: calls made and answers got.

#![cfg(feature = "stack")]
#![allow(clippy::unwrap_used)]

use std::{fmt::Write, time::Duration};

use bedrock_sim::{Config, FaultName, FaultSpec, Input, Prompt, Reply, SimulatedError, Simulator};
use tower::{ServiceBuilder, ServiceExt};
use tower_bedrock::{
    Answer, HasCompletion, HasFault, Invocation, Target,
    breaker::CircuitBreakerLayer,
    fallback::{Alternative, Chain, FallbackLayer},
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};

/// Of ten calls. Throttles are tried three times each and open no breaker in a row; tokens a day are not
/// tried again; what speaks for an outage opens the breaker at the fifth failure, and from then on the
/// primary is left alone. Every call is answered.
const TABLE: &str = "\
fault                    calls: primary, alternative  answers: primary, alternative  errors
ThrottleRequests              30          10       0          10
ThrottleTokens                30          10       0          10
ThrottleTokensPerDay          10          10       0          10
Overloaded                     5          10       0          10
ModelNotReady                 30          10       0          10
TooManyConnections            30          10       0          10
Unavailable                    5          10       0          10
Internal                       5          10       0          10
Overloaded529                  5          10       0          10
ModelTimeout                   5          10       0          10
ModelError                     5          10       0          10
Html503                        5          10       0          10
Reset                          5          10       0          10
Hang                           5          10       0          10
Slow                           5          10       0          10
";

const PRIMARY: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const ALTERNATIVE: &str = "us.amazon.nova-pro-v1:0";

fn call() -> Invocation<Prompt> {
    let mut input = Input::default();
    input.add_text("Say hello.");
    Prompt::new(input)
        .with_max_output_tokens(100)
        .to(Target::parse("us-east-1", PRIMARY).unwrap())
}

/// Ten calls, one after another, while the primary model fails in one way; then what was called and answered.
async fn row(kind: FaultName) -> String {
    let simulator = Simulator::new(Config::default()).unwrap();
    simulator
        .add_fault(FaultSpec::new(kind).for_model(PRIMARY))
        .unwrap();
    let chain =
        Chain::new(PRIMARY.parse().unwrap()).or(Alternative::model(ALTERNATIVE.parse().unwrap()));
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new([chain]).unwrap())
        .layer(RetryLayer::new(
            Policy::builder().max_attempts(3).build().unwrap(),
        ))
        .layer(CircuitBreakerLayer::builder().build().unwrap())
        .layer(TimeoutLayer::attempt(Duration::from_secs(10)).unwrap())
        .service(simulator.service());
    let (mut by_primary, mut by_alternative, mut errors) = (0, 0, Vec::new());
    for _ in 0..10 {
        let result: Result<Answer<Reply>, SimulatedError> = service.clone().oneshot(call()).await;
        match result {
            Ok(answer) => match answer
                .history()
                .unwrap()
                .served_by
                .as_ref()
                .unwrap()
                .model()
                .as_str()
            {
                PRIMARY => by_primary += 1,
                _ => by_alternative += 1,
            },
            Err(error) => errors.push(error.fault().kind().as_str()),
        }
    }
    errors.dedup();
    let ledger = simulator.ledger().entries;
    let calls = |model: &str| {
        ledger
            .iter()
            .filter(|entry| entry.model.as_str() == model)
            .count()
    };
    let (primary, alternative) = (calls(PRIMARY), calls(ALTERNATIVE));
    format!(
        "{:<24} {primary:>7} {alternative:>11} {by_primary:>7} {by_alternative:>11}  {}",
        format!("{kind:?}"),
        errors.join(", ")
    )
    .trim_end()
    .to_owned()
}

#[tokio::test(start_paused = true)]
async fn calls_made_and_answers_got_under_each_fault() {
    let mut table = String::from(
        "fault                    calls: primary, alternative  answers: primary, alternative  errors\n",
    );
    for kind in FaultName::ALL {
        if kind != FaultName::Corrupt {
            writeln!(table, "{}", row(kind).await).unwrap();
        }
    }
    println!("{table}");
    assert_eq!(table, TABLE);
}
