//! The blocks that messages are made of. Nova's own body has the same ones.

use std::io;

use base64::{engine::general_purpose::STANDARD, read::DecoderReader};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ContentBlock {
    Text(String),
    Image(Media),
    Document(Document),
    Video(Media),
    Audio(Media),
    ToolUse(ToolUse),
    ToolResult(ToolResult),
    GuardContent(GuardContent),
    CachePoint(CachePoint),
    ReasoningContent(Value),
    CitationsContent(Value),
    SearchResult(Value),
    #[serde(deserialize_with = "unread")]
    ToolAddition(()),
    #[serde(deserialize_with = "unread")]
    ToolRemoval(()),
}

/// An image, a video or a recording.
#[derive(Deserialize)]
pub(crate) struct Media {
    #[serde(rename = "format")]
    _format: String,
    pub(crate) source: Source,
    #[serde(default, rename = "error", deserialize_with = "unread")]
    _error: (),
}

#[derive(Deserialize)]
pub(crate) struct Document {
    #[serde(rename = "format")]
    _format: Option<String>,
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) context: Option<String>,
    #[serde(default, rename = "citations", deserialize_with = "unread")]
    _citations: (),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Source {
    Bytes(Blob),
    #[serde(deserialize_with = "unread")]
    S3Location(()),
    Text(String),
    Content(Vec<TextBlock>),
}

#[derive(Deserialize)]
pub(crate) struct TextBlock {
    pub(crate) text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolUse {
    pub(crate) tool_use_id: String,
    pub(crate) name: String,
    pub(crate) input: Value,
    #[serde(rename = "type")]
    _type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolResult {
    pub(crate) tool_use_id: String,
    pub(crate) content: Vec<ToolResultBlock>,
    #[serde(rename = "status")]
    _status: Option<String>,
    #[serde(rename = "type")]
    _type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ToolResultBlock {
    Json(Value),
    Text(String),
    Image(Media),
    Document(Document),
    Video(Media),
    SearchResult(Value),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum GuardContent {
    Text(GuardText),
    Image(Media),
}

#[derive(Deserialize)]
pub(crate) struct GuardText {
    pub(crate) text: String,
    #[serde(rename = "qualifiers")]
    _qualifiers: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(crate) struct CachePoint {
    #[serde(rename = "type")]
    _type: CachePointType,
    pub(crate) ttl: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum CachePointType {
    Default,
}

/// Reads a value that the simulator has no use for. Unlike [`IgnoredAny`](de::IgnoredAny), it does not
/// count as one that does not belong there.
pub(crate) fn unread<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    Value::deserialize(deserializer).map(drop)
}

/// Bytes that came in base64. Only their number is kept.
#[derive(Clone, Copy)]
pub(crate) struct Blob {
    pub(crate) len: u64,
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
                let mut decoded = DecoderReader::new(text.as_bytes(), &STANDARD);
                io::copy(&mut decoded, &mut io::sink())
                    .map(|len| Blob { len })
                    .map_err(|error| E::custom(format_args!("not base64: {error}")))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}
