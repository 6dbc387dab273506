//! Frames of Bedrock's event streams.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine, engine::general_purpose::STANDARD};

fn frame(headers: &[(&'static str, &str)], payload: &str) -> Vec<u8> {
    let mut message = Message::new(payload.to_owned());
    for (name, value) in headers {
        let value = HeaderValue::String((*value).to_owned().into());
        message = message.add_header(Header::new(*name, value));
    }
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

/// An event of ConverseStream.
pub fn event(event_type: &str, payload: &str) -> Vec<u8> {
    let headers = [(":message-type", "event"), (":event-type", event_type)];
    frame(&headers, payload)
}

/// A chunk of InvokeModelWithResponseStream.
pub fn chunk(provider_event: &str) -> Vec<u8> {
    let payload = format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(provider_event));
    event("chunk", &payload)
}

/// An exception inside a stream.
pub fn exception(name: &str, message: &str) -> Vec<u8> {
    let headers = [(":message-type", "exception"), (":exception-type", name)];
    frame(&headers, &format!(r#"{{"message":"{message}"}}"#))
}

/// The same frame with a bit flipped in its payload.
pub fn corrupt(mut frame: Vec<u8>) -> Vec<u8> {
    let at = frame.len() - 5;
    frame[at] ^= 1;
    frame
}

/// A short stream: what comes before the content, the content, and what comes after.
pub struct Whole {
    pub opening: Vec<u8>,
    pub content: Vec<u8>,
    pub closing: Vec<u8>,
}

impl Whole {
    pub fn converse() -> Self {
        let usage = r#"{"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":8}}"#;
        Self {
            opening: event("messageStart", r#"{"role":"assistant"}"#),
            content: event("contentBlockDelta", r#"{"delta":{"text":"Hello"}}"#),
            closing: [
                event("messageStop", r#"{"stopReason":"end_turn"}"#),
                event("metadata", usage),
            ]
            .concat(),
        }
    }

    pub fn invoke() -> Self {
        let last = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":5}}"#;
        Self {
            opening: chunk(r#"{"type":"message_start"}"#),
            content: chunk(r#"{"type":"content_block_delta","delta":{"text":"Hello"}}"#),
            closing: chunk(last),
        }
    }

    /// As far as the first content.
    pub fn begun(&self) -> Vec<u8> {
        [&self.opening[..], &self.content].concat()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [&self.opening[..], &self.content, &self.closing].concat()
    }
}

/// The frames of a stream, as `name` or `exception: name`. Panics where one is broken.
pub fn names(bytes: &[u8]) -> Vec<String> {
    let mut decoder = MessageFrameDecoder::new();
    let mut bytes = bytes;
    let mut names = Vec::new();
    while let DecodedFrame::Complete(message) = decoder.decode_frame(&mut bytes).unwrap() {
        names.push(name(&message));
    }
    assert!(bytes.is_empty(), "a part of a frame is left");
    names
}

fn name(message: &Message) -> String {
    let header = |name: &str| {
        let headers = message.headers();
        let header = headers.iter().find(|header| header.name().as_str() == name);
        header.map(|header| header.value().as_string().unwrap().as_str().to_owned())
    };
    match header(":exception-type") {
        Some(name) => format!("exception: {name}"),
        None => header(":event-type").unwrap(),
    }
}
