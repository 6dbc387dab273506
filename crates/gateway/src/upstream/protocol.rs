//! What the events of Bedrock's streams mean.

use aws_smithy_types::event_stream::Message;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;
use tower_bedrock_core::TokenUsage;

use super::{exception::Exception, usage};
use crate::Operation;

/// What an event means to whoever forwards it.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    /// It comes before any content.
    Opening,
    /// It carries content, or ends a block of it.
    Content,
    /// It says that the answer is whole, and what it cost where it says so too.
    Whole(Option<TokenUsage>),
    /// It says what the answer cost.
    Cost(Option<TokenUsage>),
    /// The stream has failed.
    Failure(Exception),
}

/// Reads an event of the stream that answers `operation`.
pub(super) fn read(operation: Operation, event: &Message) -> Meaning {
    match header(event, ":message-type") {
        "event" if operation == Operation::ConverseStream => {
            converse(header(event, ":event-type"), event.payload())
        }
        "event" => invoke(event.payload()),
        "error" => Meaning::Failure(Exception::new(
            header(event, ":error-code"),
            header(event, ":error-message"),
        )),
        _ => Meaning::Failure(Exception::new(
            header(event, ":exception-type"),
            &message_of(event.payload()),
        )),
    }
}

/// The value of a header that is a text; empty where there is none.
fn header<'e>(event: &'e Message, name: &str) -> &'e str {
    let mut headers = event.headers().iter();
    let header = headers.find(|header| header.name().as_str() == name);
    let text = header.and_then(|header| header.value().as_string().ok());
    text.map_or("", |text| text.as_str())
}

fn converse(event_type: &str, payload: &[u8]) -> Meaning {
    match event_type {
        "messageStart" => Meaning::Opening,
        "messageStop" => Meaning::Whole(None),
        "metadata" => Meaning::Cost(usage::from_converse(payload)),
        _ => Meaning::Content,
    }
}

/// The chunks of InvokeModel's streams carry the provider's own events.
fn invoke(payload: &[u8]) -> Meaning {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        bytes: &'a str,
    }

    let event = serde_json::from_slice(payload)
        .ok()
        .and_then(|chunk: Chunk<'_>| STANDARD.decode(chunk.bytes).ok());
    // What cannot be read may be content: when in doubt, the stream has begun.
    event.map_or(Meaning::Content, |event| provider_event(&event))
}

fn provider_event(event: &[u8]) -> Meaning {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Event<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a str>,
        #[serde(borrow, rename = "messageStart")]
        message_start: Option<&'a RawValue>,
        #[serde(rename = "amazon-bedrock-invocationMetrics")]
        metrics: Option<usage::InvocationMetrics>,
    }

    let event: Event<'_> = serde_json::from_slice(event).unwrap_or_default();
    if let Some(metrics) = event.metrics {
        return Meaning::Whole(Some(metrics.into()));
    }
    match event.kind {
        Some("message_start" | "ping") => Meaning::Opening,
        Some("message_stop") => Meaning::Whole(None),
        _ if event.message_start.is_some() => Meaning::Opening,
        _ => Meaning::Content,
    }
}

fn message_of(payload: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default, alias = "Message")]
        message: String,
    }

    let body: Body = serde_json::from_slice(payload).unwrap_or_default();
    body.message
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::event_stream::{Header, HeaderValue};

    use super::*;

    fn read_message(
        operation: Operation,
        headers: &[(&'static str, &'static str)],
        payload: impl Into<String>,
    ) -> Meaning {
        let mut message = Message::new(payload.into());
        for (name, value) in headers {
            message = message.add_header(Header::new(*name, HeaderValue::String((*value).into())));
        }
        read(operation, &message)
    }

    fn converse(event_type: &'static str, payload: &str) -> Meaning {
        let headers = [(":message-type", "event"), (":event-type", event_type)];
        read_message(Operation::ConverseStream, &headers, payload)
    }

    fn invoke(event: &str) -> Meaning {
        let payload = format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(event));
        let headers = [(":message-type", "event"), (":event-type", "chunk")];
        let operation = Operation::InvokeModelWithResponseStream;
        read_message(operation, &headers, payload)
    }

    const USAGE: TokenUsage = TokenUsage {
        input: 3,
        output: 5,
        cache_read: 0,
        cache_write: 0,
    };

    #[test]
    fn events_of_converse_stream() {
        assert_eq!(converse("messageStart", "{}"), Meaning::Opening);
        assert_eq!(converse("contentBlockStart", "{}"), Meaning::Content);
        assert_eq!(converse("contentBlockDelta", "{}"), Meaning::Content);
        assert_eq!(converse("messageStop", "{}"), Meaning::Whole(None));
        let metadata = r#"{"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":8}}"#;
        assert_eq!(converse("metadata", metadata), Meaning::Cost(Some(USAGE)));
        assert_eq!(converse("metadata", "{}"), Meaning::Cost(None));
        assert_eq!(converse("somethingNew", "?"), Meaning::Content);
    }

    #[test]
    fn chunks_of_invoke_streams() {
        let metrics =
            r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":5}"#;
        for (event, meaning) in [
            (r#"{"type":"message_start"}"#, Meaning::Opening),
            (r#"{"type":"ping"}"#, Meaning::Opening),
            (r#"{"messageStart":{"role":"assistant"}}"#, Meaning::Opening),
            (r#"{"type":"content_block_delta"}"#, Meaning::Content),
            (r#"{"outputText":"a"}"#, Meaning::Content),
            ("not json", Meaning::Content),
            (r#"{"type":"message_stop"}"#, Meaning::Whole(None)),
            (
                &format!(r#"{{"type":"message_stop",{metrics}}}"#),
                Meaning::Whole(Some(USAGE)),
            ),
            (
                &format!(r#"{{"outputText":"",{metrics}}}"#),
                Meaning::Whole(Some(USAGE)),
            ),
        ] {
            assert_eq!(invoke(event), meaning, "{event}");
        }
    }

    #[test]
    fn failures_in_both_forms() {
        let exception = (
            &[
                (":message-type", "exception"),
                (":exception-type", "throttlingException"),
            ][..],
            r#"{"message":"slow down"}"#,
        );
        let error = (
            &[
                (":message-type", "error"),
                (":error-code", "throttlingException"),
                (":error-message", "slow down"),
            ][..],
            "",
        );
        let expected = Meaning::Failure(Exception::new("throttlingException", "slow down"));
        for (headers, payload) in [exception, error] {
            let meaning = read_message(Operation::ConverseStream, headers, payload);
            assert_eq!(meaning, expected);
        }
    }
}
