//! `InvokeModelWithResponseStream`: chunks of the model's own JSON. Bedrock adds what the call cost to the
//! last of them.

use std::borrow::Cow;

use aws_sdk_bedrockruntime::types::{ResponseStream, error::ResponseStreamError};
use serde::{Deserialize, de::IgnoredAny};

use super::event::{Meaning, StreamEvent, sealed::Event};
use crate::usage::InvocationMetrics;

impl StreamEvent for ResponseStream {}

impl Event for ResponseStream {
    type Error = ResponseStreamError;

    fn meaning(&self) -> Meaning {
        match self {
            Self::Chunk(part) => part
                .bytes()
                .map_or(OPAQUE, |bytes| of_chunk(bytes.as_ref())),
            _ => Meaning {
                commits: true,
                ..Meaning::default()
            },
        }
    }

    fn bytes(&self) -> Option<usize> {
        let part = self.as_chunk().ok()?;
        Some(part.bytes().map_or(0, |bytes| bytes.as_ref().len()))
    }
}

/// A chunk of a model whose JSON does not tell where the answer ends: it may end with any of them.
const OPAQUE: Meaning = Meaning {
    commits: true,
    whole: Some(true),
    last: false,
    usage: None,
};

/// The parts that tell where in an answer a chunk stands: Anthropic's Messages events name their `type`,
/// Amazon Nova's are named by their only key, as Converse's are.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default, rename = "messageStart")]
    message_start: Option<IgnoredAny>,
    #[serde(default, rename = "contentBlockStart")]
    block_start: Option<IgnoredAny>,
    #[serde(default, rename = "contentBlockDelta")]
    block_delta: Option<IgnoredAny>,
    #[serde(default, rename = "contentBlockStop")]
    block_stop: Option<IgnoredAny>,
    #[serde(default, rename = "amazon-bedrock-invocationMetrics")]
    metrics: Option<InvocationMetrics>,
}

fn of_chunk(bytes: &[u8]) -> Meaning {
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(bytes) else {
        return OPAQUE;
    };
    if let Some(metrics) = chunk.metrics {
        return Meaning {
            commits: true,
            whole: Some(true),
            last: true,
            usage: Some(metrics.into()),
        };
    }
    // Anthropic's kinds alone: another model's `type` may mean anything.
    let kind = chunk.kind.as_deref().filter(|kind| {
        ["message_", "content_block_", "ping", "error"]
            .iter()
            .any(|known| kind.starts_with(known))
    });
    let starts = matches!(kind, Some("message_start" | "content_block_start" | "ping"))
        || chunk.message_start.is_some()
        || chunk.block_start.is_some();
    let goes_on = starts
        || kind.is_some_and(|kind| kind != "message_stop")
        || chunk.block_delta.is_some()
        || chunk.block_stop.is_some();
    Meaning {
        commits: !starts,
        whole: Some(!goes_on),
        ..Meaning::default()
    }
}

#[cfg(test)]
mod tests {
    use tower_bedrock_core::TokenUsage;

    use super::*;

    #[test]
    fn anthropic_events_say_where_they_stand() {
        let table: &[(&str, bool, bool)] = &[
            (
                r#"{"type":"message_start","message":{"usage":{"input_tokens":9}}}"#,
                false,
                false,
            ),
            (r#"{"type":"ping"}"#, false, false),
            (
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                false,
                false,
            ),
            (
                r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}"#,
                true,
                false,
            ),
            (r#"{"type":"content_block_stop","index":0}"#, true, false),
            (
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
                true,
                false,
            ),
            (r#"{"type":"message_stop"}"#, true, true),
        ];
        for (json, commits, whole) in table {
            let meaning = of_chunk(json.as_bytes());
            assert_eq!(
                (meaning.commits, meaning.whole),
                (*commits, Some(*whole)),
                "{json}"
            );
            assert!(!meaning.last, "{json}");
        }
    }

    #[test]
    fn nova_events_say_where_they_stand() {
        let table: &[(&str, bool, bool)] = &[
            (r#"{"messageStart":{"role":"assistant"}}"#, false, false),
            (
                r#"{"contentBlockDelta":{"delta":{"text":"Hi"}}}"#,
                true,
                false,
            ),
            (
                r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
                true,
                false,
            ),
            (r#"{"messageStop":{"stopReason":"end_turn"}}"#, true, true),
        ];
        for (json, commits, whole) in table {
            let meaning = of_chunk(json.as_bytes());
            assert_eq!(
                (meaning.commits, meaning.whole),
                (*commits, Some(*whole)),
                "{json}"
            );
        }
    }

    #[test]
    fn a_model_that_does_not_say_may_end_anywhere() {
        for json in [
            r#"{"generation":"Hi"}"#,
            r#"{"type":"token","text":"Hi"}"#,
            r#"{"outputText":"Hi"}"#,
            "not JSON",
            "",
            "[1]",
        ] {
            assert_eq!(of_chunk(json.as_bytes()), OPAQUE, "{json}");
        }
    }

    #[test]
    fn the_metrics_mark_the_last_chunk_of_any_model() {
        let json = r#"{"generation":"","stop_reason":"stop","amazon-bedrock-invocationMetrics":
            {"inputTokenCount":11,"outputTokenCount":7,"invocationLatency":512,"firstByteLatency":90}}"#;
        assert_eq!(
            of_chunk(json.as_bytes()),
            Meaning {
                commits: true,
                whole: Some(true),
                last: true,
                usage: Some(TokenUsage {
                    input: 11,
                    output: 7,
                    ..TokenUsage::default()
                }),
            }
        );
    }

    #[test]
    fn text_that_quotes_an_event_is_still_text() {
        let json =
            r#"{"type":"content_block_delta","delta":{"text":"{\"type\":\"message_stop\"}"}}"#;
        assert_eq!(of_chunk(json.as_bytes()).whole, Some(false));
    }
}
