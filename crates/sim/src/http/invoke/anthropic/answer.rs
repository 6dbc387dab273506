//! How an answer is written in Anthropic's words.

use serde_json::{Value, json};
use tower_bedrock_core::ModelId;

use crate::Plan;

pub(crate) fn whole(plan: &Plan, model: &ModelId, id: &str) -> Value {
    let mut message = message(model, id);
    message["content"] = json!([{ "type": "text", "text": plan.text() }]);
    message["stop_reason"] = json!(plan.stop_reason().as_str());
    message["usage"] = usage(plan, plan.usage().output);
    message
}

pub(crate) fn start(plan: &Plan, model: &ModelId, id: &str) -> Vec<Value> {
    let mut message = message(model, id);
    // What is generated so far: the first token.
    message["usage"] = usage(plan, plan.usage().output.min(1));
    vec![
        json!({ "type": "message_start", "message": message }),
        json!({
            "type": "content_block_start",
            "index": 0,
            "content_block": { "type": "text", "text": "" },
        }),
    ]
}

pub(crate) fn delta(text: &str) -> Vec<Value> {
    vec![json!({
        "type": "content_block_delta",
        "index": 0,
        "delta": { "type": "text_delta", "text": text },
    })]
}

pub(crate) fn end(plan: &Plan) -> Vec<Value> {
    vec![
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": plan.stop_reason().as_str(), "stop_sequence": null },
            "usage": { "output_tokens": plan.usage().output },
        }),
        json!({ "type": "message_stop" }),
    ]
}

fn message(model: &ModelId, id: &str) -> Value {
    json!({
        "id": format!("msg_bdrk_sim_{id}"),
        "type": "message",
        "role": "assistant",
        "model": model.base(),
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    })
}

fn usage(plan: &Plan, output: u64) -> Value {
    json!({
        "input_tokens": plan.usage().input,
        "cache_creation_input_tokens": plan.usage().cache_write,
        "cache_read_input_tokens": plan.usage().cache_read,
        "output_tokens": output,
    })
}
