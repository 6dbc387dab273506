//! How an answer is written in Converse's words. Nova's own body has nearly the same ones.

use serde_json::{Value, json};
use tower_bedrock_core::TokenUsage;

use crate::{Plan, http::event_stream::Event};

/// What an answer repeats of its request.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    pub(crate) service_tier: Option<String>,
    pub(crate) latency: Option<String>,
}

impl Echo {
    fn add_to(&self, answer: &mut Value) {
        if let Some(tier) = &self.service_tier {
            answer["serviceTier"] = json!({ "type": tier });
        }
        if let Some(latency) = &self.latency {
            answer["performanceConfig"] = json!({ "latency": latency });
        }
    }
}

/// The body of a unary answer.
pub(crate) fn whole(plan: &Plan, echo: &Echo) -> Value {
    let mut answer = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": plan.text() }] } },
        "stopReason": plan.stop_reason().as_str(),
        "usage": usage(&plan.usage()),
        "metrics": { "latencyMs": milliseconds(plan) },
    });
    echo.add_to(&mut answer);
    answer
}

/// What a stream begins with. Blocks of text have no `contentBlockStart`.
pub(crate) fn start() -> Vec<Event> {
    vec![Event {
        name: "messageStart",
        payload: json!({ "role": "assistant" }),
    }]
}

pub(crate) fn delta(text: &str) -> Vec<Event> {
    vec![Event {
        name: "contentBlockDelta",
        payload: json!({ "contentBlockIndex": 0, "delta": { "text": text } }),
    }]
}

/// What a stream ends with. The usage is in the last event and nowhere else.
pub(crate) fn end(plan: &Plan, echo: &Echo) -> Vec<Event> {
    let mut metadata = json!({
        "usage": usage(&plan.usage()),
        "metrics": { "latencyMs": milliseconds(plan) },
    });
    echo.add_to(&mut metadata);
    vec![
        Event {
            name: "contentBlockStop",
            payload: json!({ "contentBlockIndex": 0 }),
        },
        Event {
            name: "messageStop",
            payload: json!({ "stopReason": plan.stop_reason().as_str() }),
        },
        Event {
            name: "metadata",
            payload: metadata,
        },
    ]
}

fn usage(usage: &TokenUsage) -> Value {
    json!({
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.total(),
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    })
}

/// As Bedrock would have measured it: in simulated time.
pub(crate) fn milliseconds(plan: &Plan) -> u64 {
    u64::try_from(plan.duration().as_millis()).unwrap_or(u64::MAX)
}
