//! Bedrock's event streams, frame by frame.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine, prelude::BASE64_STANDARD};

fn frame(headers: &[(&'static str, &str)], payload: &str) -> Vec<u8> {
    let mut message = Message::new(payload.to_owned());
    for (name, value) in headers {
        message = message.add_header(Header::new(
            *name,
            HeaderValue::String((*value).to_owned().into()),
        ));
    }
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

pub(crate) fn event(kind: &str, payload: &str) -> Vec<u8> {
    frame(
        &[
            (":message-type", "event"),
            (":event-type", kind),
            (":content-type", "application/json"),
        ],
        payload,
    )
}

pub(crate) fn exception(kind: &str, message: &str) -> Vec<u8> {
    frame(
        &[
            (":message-type", "exception"),
            (":exception-type", kind),
            (":content-type", "application/json"),
        ],
        &serde_json::json!({ "message": message }).to_string(),
    )
}

/// The event stream's own kind of error, for what the model does not list.
pub(crate) fn error(code: &str, message: &str) -> Vec<u8> {
    frame(
        &[
            (":message-type", "error"),
            (":error-code", code),
            (":error-message", message),
        ],
        "",
    )
}

pub(crate) fn start() -> Vec<u8> {
    event("messageStart", r#"{"role":"assistant"}"#)
}

pub(crate) fn delta(text: &str) -> Vec<u8> {
    let payload = serde_json::json!({ "contentBlockIndex": 0, "delta": { "text": text } });
    event("contentBlockDelta", &payload.to_string())
}

pub(crate) fn block_stop() -> Vec<u8> {
    event("contentBlockStop", r#"{"contentBlockIndex":0}"#)
}

pub(crate) fn stop() -> Vec<u8> {
    event("messageStop", r#"{"stopReason":"end_turn"}"#)
}

pub(crate) fn metadata() -> Vec<u8> {
    event(
        "metadata",
        r#"{"usage":{"inputTokens":10,"outputTokens":750,"totalTokens":760,
            "cacheReadInputTokens":3,"cacheWriteInputTokens":4},"metrics":{"latencyMs":5}}"#,
    )
}

/// A whole answer of two deltas.
pub(crate) fn whole() -> Vec<Vec<u8>> {
    vec![
        start(),
        delta("Hel"),
        delta("lo."),
        block_stop(),
        stop(),
        metadata(),
    ]
}

/// A chunk of `InvokeModelWithResponseStream`.
pub(crate) fn chunk(json: &str) -> Vec<u8> {
    let payload = serde_json::json!({ "bytes": BASE64_STANDARD.encode(json) });
    event("chunk", &payload.to_string())
}

/// The same frame with a bit turned in its payload.
pub(crate) fn corrupt(mut frame: Vec<u8>) -> Vec<u8> {
    let byte = frame.len() - 6;
    frame[byte] ^= 1;
    frame
}
