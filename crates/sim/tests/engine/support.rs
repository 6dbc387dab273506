use bedrock_sim::{
    Call, Config, Input, LedgerEntry, ModelSettings, Operation, Prompt, Reply, ReplyStream,
    Simulator, StreamPrompt,
};
use tower::ServiceExt;
use tower_bedrock_core::{Answer, Invocation, Target};

pub(crate) const REGION: &str = "us-east-1";
/// Burns down at 5, by the published rates.
pub(crate) const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
/// Burns down at 1.
pub(crate) const NOVA: &str = "us.amazon.nova-lite-v1:0";
/// A model of the tests' own.
pub(crate) const ACME: &str = "acme.large-v1:0";

pub(crate) fn target(model: &str) -> Target {
    Target::parse(REGION, model).unwrap()
}

/// A simulator with a model of its own: 1 s to the first token, 50 tokens a second, 5 of them a delta.
pub(crate) fn acme(settings: ModelSettings) -> Simulator {
    let simulator = Simulator::new(Config::default()).unwrap();
    let settings = ModelSettings {
        time_to_first_token_ms: settings.time_to_first_token_ms.or(Some(1_000)),
        tokens_per_second: settings.tokens_per_second.or(Some(50.0)),
        tokens_per_delta: settings.tokens_per_delta.or(Some(5)),
        ..settings
    };
    simulator
        .set_model(&ACME.parse().unwrap(), None, &settings)
        .unwrap();
    simulator
}

pub(crate) fn call(model: &str, input: u64) -> Call {
    Call::new(
        Operation::Converse,
        REGION.parse().unwrap(),
        model.parse().unwrap(),
        Input::of_tokens(input),
    )
}

pub(crate) fn prompt(input: u64, output: u64) -> Prompt {
    Prompt::new(Input::of_tokens(input)).with_output_tokens(output)
}

pub(crate) async fn ask(
    simulator: &Simulator,
    invocation: Invocation<Prompt>,
) -> Result<Answer<Reply>, bedrock_sim::SimulatedError> {
    simulator.service().oneshot(invocation).await
}

pub(crate) async fn ask_streamed(
    simulator: &Simulator,
    invocation: Invocation<StreamPrompt>,
) -> Result<ReplyStream, bedrock_sim::SimulatedError> {
    simulator.service().oneshot(invocation).await
}

pub(crate) fn last(simulator: &Simulator) -> LedgerEntry {
    simulator.ledger().entries.last().cloned().unwrap()
}

pub(crate) fn tokens_used(simulator: &Simulator, model: &str) -> u64 {
    let target = target(model);
    let levels = simulator.levels(target.region(), target.model()).unwrap();
    levels.tokens_per_minute.unwrap().used
}
