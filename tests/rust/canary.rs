//! No prompt, completion, key or message of an error ever reaches a log, a span or a metric, at any level.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use metrics_util::debugging::DebuggingRecorder;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_bedrock::{
    BedrockService, StandardStack,
    metrics::RetryMetrics,
    retry::{Backoff, Plan, Policy, RetryLayer, Schedule},
};
use tower_bedrock_service::Error;
use tracing::Level;
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use crate::{
    call::{Operation, converse, converse_stream, invoke, read_converse},
    local::{BEARER_TOKEN, KEY, Local},
};

const PROMPT: &str = "canary-in-the-prompt";
/// Of the text that the simulator answers with. Its header and its name have no such word.
const COMPLETION: &str = "simulated";
/// An error's message may quote what was asked.
const MESSAGE: &str = "canary-in-the-message";

/// The crates of this project, by the beginnings of their targets, and this test where it logs an error. What others
/// log at `TRACE` is theirs to keep clean.
const OURS: [&str; 3] = ["tower_bedrock", "bedrock_", module_path!()];

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Captured {
    /// The lines that a crate of this project wrote, spans around them included.
    fn ours(&self) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let ours = |line: &&str| {
            let event: Value = serde_json::from_str(line).unwrap();
            let target = event["target"].as_str().unwrap();
            OURS.iter().any(|crate_name| target.starts_with(crate_name))
        };
        log.lines().filter(ours).map(str::to_owned).collect()
    }
}

fn assert_clean(what: &str, text: &str) {
    for canary in [PROMPT, COMPLETION, MESSAGE, KEY.0, KEY.1, BEARER_TOKEN] {
        assert!(!text.contains(canary), "{canary:?} in a {what}: {text}");
    }
}

/// Calls that fail first, each in its way, straight through the standard stack and through a gateway's.
#[tokio::test]
async fn nothing_of_what_users_send_or_get_is_told_to_operators() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(captured.clone())
        .finish();
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorder = metrics::set_default_local_recorder(&recorder);

    let local = Local::direct().await;
    let faults = [
        json!({"kind": "throttle_tokens", "times": 1}),
        json!({"kind": "unavailable", "times": 1}),
        json!({"kind": "throttle_tokens", "times": 1, "at": "first_event"}),
        json!({"kind": "unavailable", "times": 1, "at": {"after_deltas": 1}}),
        json!({"kind": "reset", "times": 1}),
        json!({"kind": "model_error", "times": 1}),
    ];
    for fault in &faults {
        local.fault(with_message(fault));
        through_the_stack(&local.bedrock()).await;
        local.fault(with_message(fault));
        through_the_stack(&local.bedrock_with_token()).await;
    }
    let gateway = Local::behind_gateway().await;
    for fault in &faults {
        for operation in Operation::ALL {
            gateway.fault(with_message(fault));
            let _ = operation.call(&gateway.bedrock(), PROMPT).await;
            let _ = operation.call(&gateway.bedrock(), PROMPT).await;
        }
    }

    let ours = captured.ours();
    assert!(
        ours.iter()
            .any(|line| line.contains("attempt failed") && line.contains("ThrottlingException"))
    );
    assert!(
        ours.iter()
            .any(|line| line.contains("gen_ai.request.model"))
    );
    for line in &ours {
        assert_clean("log", line);
    }
    let metrics = snapshotter.snapshot().into_vec();
    assert!(metrics.len() > 20, "{} metrics", metrics.len());
    for (key, ..) in metrics {
        assert_clean("metric", &format!("{key:?}"));
    }
}

fn with_message(fault: &Value) -> Value {
    let mut fault = fault.clone();
    // A connection that breaks says nothing.
    if fault["kind"] != "reset" {
        fault["message"] = MESSAGE.into();
    }
    fault
}

async fn through_the_stack(leaf: &BedrockService) {
    let retry = RetryLayer::builder(impatient())
        .observer(RetryMetrics::new())
        .build();
    let bedrock = StandardStack::new()
        .unwrap()
        .with_retry(retry)
        .layer(leaf.clone());
    let call = leaf.invocation(converse(PROMPT)).unwrap();
    // Whether it is answered does not matter here, but what becomes of it is looked at as an application would.
    if let Err(error) = bedrock.clone().oneshot(call).await {
        tell(&error);
    }
    let call = leaf.invocation(invoke(PROMPT)).unwrap();
    if let Err(error) = bedrock.clone().oneshot(call).await {
        tell(&error);
    }
    let call = leaf.invocation(converse_stream(PROMPT)).unwrap();
    match bedrock.oneshot(call).await {
        Ok(mut events) => {
            if let Err(error) = read_converse(&mut events).await {
                tell(&error);
            }
        }
        Err(error) => tell(&error),
    }
}

/// Retries what is retried by default, without the waits.
fn impatient() -> Policy {
    let millisecond = Duration::from_millis(1);
    let schedule = Schedule::new(Backoff::new(millisecond, millisecond).unwrap());
    let kinds = Policy::default()
        .plan()
        .iter()
        .map(|(kind, _)| kind)
        .collect::<Vec<_>>();
    let plan = kinds
        .into_iter()
        .fold(Plan::empty(), |plan, kind| plan.with(kind, schedule));
    Policy::builder().plan(plan).build().unwrap()
}

/// `Debug` of what went wrong is what lands in logs first.
fn tell(error: &Error) {
    tracing::error!(?error, "a call failed");
}
