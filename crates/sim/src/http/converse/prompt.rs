//! What of a conversation the model reads.

use serde_json::Value;

use super::{
    content::{ContentBlock, Document, GuardContent, Media, Source, ToolResult, ToolResultBlock},
    request::{Message, SystemBlock, Tool, ToolConfig},
};
use crate::http::prompt::Prompt;

/// What lies in S3 is not looked at; it counts as a document of a page or two.
const S3_BYTES: u64 = 4_096;

/// The prompt that a conversation comes to.
pub(crate) fn prompt(
    system: &[SystemBlock],
    messages: &[Message],
    tools: Option<&ToolConfig>,
    additional: Option<&Value>,
) -> Prompt {
    let mut prompt = Prompt::default();
    for tool in tools.iter().flat_map(|config| &config.tools) {
        match tool {
            Tool::Spec(tool) | Tool::System(tool) => prompt.tool_json(&tool.to_string()),
            Tool::CachePoint(point) => prompt.cache_point(point.ttl.as_deref()),
        }
    }
    for block in system {
        match block {
            SystemBlock::Text(text) => prompt.text(text),
            SystemBlock::GuardContent(guarded) => add_guarded(&mut prompt, guarded),
            SystemBlock::CachePoint(point) => prompt.cache_point(point.ttl.as_deref()),
        }
    }
    for message in messages {
        prompt.message(message.role.as_str());
        for block in &message.content {
            add_block(&mut prompt, block);
        }
    }
    if let Some(fields) = additional {
        prompt.text(&fields.to_string());
    }
    prompt
}

fn add_block(prompt: &mut Prompt, block: &ContentBlock) {
    match block {
        ContentBlock::Text(text) => prompt.text(text),
        ContentBlock::Image(image) => prompt.image(bytes(&image.source)),
        ContentBlock::Document(document) => add_document(prompt, document),
        ContentBlock::Video(Media { source, .. }) | ContentBlock::Audio(Media { source, .. }) => {
            prompt.document(bytes(source));
        }
        ContentBlock::ToolUse(tool) => {
            prompt.text(&tool.name);
            prompt.tool_json(&tool.input.to_string());
        }
        ContentBlock::ToolResult(result) => add_tool_result(prompt, result),
        ContentBlock::GuardContent(guarded) => add_guarded(prompt, guarded),
        ContentBlock::CachePoint(point) => prompt.cache_point(point.ttl.as_deref()),
        ContentBlock::ReasoningContent(value)
        | ContentBlock::CitationsContent(value)
        | ContentBlock::SearchResult(value) => add_texts(prompt, value),
        ContentBlock::ToolAddition(()) | ContentBlock::ToolRemoval(()) => {}
    }
}

fn add_tool_result(prompt: &mut Prompt, result: &ToolResult) {
    for block in &result.content {
        match block {
            ToolResultBlock::Json(json) => prompt.tool_json(&json.to_string()),
            ToolResultBlock::Text(text) => prompt.tool_json(text),
            ToolResultBlock::Image(image) => prompt.image(bytes(&image.source)),
            ToolResultBlock::Document(document) => add_document(prompt, document),
            ToolResultBlock::Video(video) => prompt.document(bytes(&video.source)),
            ToolResultBlock::SearchResult(value) => add_texts(prompt, value),
        }
    }
}

fn add_guarded(prompt: &mut Prompt, guarded: &GuardContent) {
    match guarded {
        GuardContent::Text(guarded) => prompt.text(&guarded.text),
        GuardContent::Image(image) => prompt.image(bytes(&image.source)),
    }
}

fn add_document(prompt: &mut Prompt, document: &Document) {
    prompt.text(&document.name);
    if let Some(context) = &document.context {
        prompt.text(context);
    }
    match &document.source {
        Source::Text(text) => prompt.text(text),
        Source::Content(blocks) => blocks.iter().for_each(|block| prompt.text(&block.text)),
        source => prompt.document(bytes(source)),
    }
}

fn bytes(source: &Source) -> u64 {
    match source {
        Source::Bytes(bytes) => bytes.len,
        Source::S3Location(()) => S3_BYTES,
        Source::Text(text) => text.len() as u64,
        Source::Content(blocks) => blocks.iter().map(|block| block.text.len() as u64).sum(),
    }
}

/// Every string in a block whose parts the simulator does not tell apart.
pub(crate) fn add_texts(prompt: &mut Prompt, value: &Value) {
    match value {
        Value::String(text) => prompt.text(text),
        Value::Array(values) => values.iter().for_each(|value| add_texts(prompt, value)),
        Value::Object(fields) => fields.values().for_each(|value| add_texts(prompt, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
