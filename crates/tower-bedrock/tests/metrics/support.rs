//! A call, and what was recorded of it.

use bedrock_sim::{Input, Prompt};
use metrics_util::debugging::{DebugValue, Snapshotter};
use tower_bedrock::{Invocation, Target};

pub(crate) const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

/// The labels of its quota.
pub(crate) const QUOTA: &str =
    "ModelId=anthropic.claude-sonnet-4-20250514-v1:0,Region=us-east-1,Route=cross-region";

pub(crate) fn target() -> Target {
    Target::parse("us-east-1", CLAUDE).unwrap()
}

pub(crate) fn call() -> Invocation<Prompt> {
    let mut input = Input::default();
    input.add_text("Say hello.");
    Prompt::new(input).with_max_output_tokens(100).to(target())
}

/// What was recorded since the last look, by `name{label=value,...}` with labels in the order of names.
pub(crate) fn recorded(snapshotter: &Snapshotter) -> Vec<(String, DebugValue)> {
    let snapshot = snapshotter.snapshot().into_vec();
    let recorded = snapshot.into_iter().map(|(key, _, _, value)| {
        let mut labels: Vec<_> = key
            .key()
            .labels()
            .map(|l| format!("{}={}", l.key(), l.value()))
            .collect();
        labels.sort();
        (
            format!("{}{{{}}}", key.key().name(), labels.join(",")),
            value,
        )
    });
    recorded.collect()
}

pub(crate) fn find<'a>(recorded: &'a [(String, DebugValue)], name: &str) -> &'a DebugValue {
    let found = recorded.iter().find(|(key, _)| key == name);
    let Some((_, value)) = found else {
        let keys: Vec<_> = recorded.iter().map(|(key, _)| key).collect();
        panic!("no {name} among {keys:#?}");
    };
    value
}

pub(crate) fn gauge(recorded: &[(String, DebugValue)], name: &str) -> f64 {
    match find(recorded, name) {
        DebugValue::Gauge(value) => value.into_inner(),
        other => panic!("{name} is {other:?}"),
    }
}

pub(crate) fn histogram(recorded: &[(String, DebugValue)], name: &str) -> Vec<f64> {
    match find(recorded, name) {
        DebugValue::Histogram(values) => values.iter().map(|value| value.into_inner()).collect(),
        other => panic!("{name} is {other:?}"),
    }
}
