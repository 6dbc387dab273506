//! Converse requests.

use aws_sdk_bedrockruntime::types::{
    CitationGeneratedContent, ContentBlock, DocumentBlock, DocumentContentBlock, DocumentSource,
    GuardrailConverseContentBlock, Message, ReasoningContentBlock, SearchResultBlock,
    SystemContentBlock, Tool, ToolConfiguration, ToolInputSchema, ToolResultContentBlock,
};
use tower_bedrock_core::Content;

use super::document::json_bytes;

/// The size of a conversation.
///
/// Left out: audio and video, whose tokens go by their length in time, and what lies in S3.
pub(crate) fn of_conversation(
    messages: &[Message],
    system: &[SystemContentBlock],
    tools: Option<&ToolConfiguration>,
) -> Content {
    let mut content = Content::default();
    for block in messages.iter().flat_map(Message::content) {
        add_block(&mut content, block);
    }
    for block in system {
        match block {
            SystemContentBlock::Text(text) => content.add_text(text),
            SystemContentBlock::GuardContent(block) => add_guarded(&mut content, block),
            _ => {}
        }
    }
    for tool in tools.map(ToolConfiguration::tools).unwrap_or_default() {
        add_tool(&mut content, tool);
    }
    content
}

fn add_block(content: &mut Content, block: &ContentBlock) {
    match block {
        ContentBlock::Text(text) => content.add_text(text),
        ContentBlock::Image(_) => content.images += 1,
        ContentBlock::Document(document) => add_document(content, document),
        ContentBlock::ToolUse(tool) => {
            add_tool_bytes(content, tool.name().len() as u64 + json_bytes(tool.input()));
        }
        ContentBlock::ToolResult(result) => {
            for block in result.content() {
                add_tool_result(content, block);
            }
        }
        ContentBlock::GuardContent(block) => add_guarded(content, block),
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(reasoning)) => {
            content.add_text(reasoning.text());
        }
        ContentBlock::CitationsContent(cited) => {
            for block in cited.content() {
                if let CitationGeneratedContent::Text(text) = block {
                    content.add_text(text);
                }
            }
        }
        ContentBlock::SearchResult(result) => add_search_result(content, result),
        _ => {}
    }
}

fn add_tool_result(content: &mut Content, block: &ToolResultContentBlock) {
    match block {
        ToolResultContentBlock::Text(text) => content.add_text(text),
        ToolResultContentBlock::Json(json) => add_tool_bytes(content, json_bytes(json)),
        ToolResultContentBlock::Image(_) => content.images += 1,
        ToolResultContentBlock::Document(document) => add_document(content, document),
        ToolResultContentBlock::SearchResult(result) => add_search_result(content, result),
        _ => {}
    }
}

fn add_guarded(content: &mut Content, block: &GuardrailConverseContentBlock) {
    match block {
        GuardrailConverseContentBlock::Text(block) => content.add_text(block.text()),
        GuardrailConverseContentBlock::Image(_) => content.images += 1,
        _ => {}
    }
}

fn add_document(content: &mut Content, document: &DocumentBlock) {
    content.add_text(document.name());
    if let Some(context) = document.context() {
        content.add_text(context);
    }
    match document.source() {
        Some(DocumentSource::Bytes(bytes)) => {
            content.document_bytes += bytes.as_ref().len() as u64;
        }
        Some(DocumentSource::Text(text)) => content.add_text(text),
        Some(DocumentSource::Content(blocks)) => {
            for block in blocks {
                if let DocumentContentBlock::Text(text) = block {
                    content.add_text(text);
                }
            }
        }
        _ => {}
    }
}

fn add_search_result(content: &mut Content, result: &SearchResultBlock) {
    content.add_text(result.source());
    content.add_text(result.title());
    for block in result.content() {
        content.add_text(block.text());
    }
}

fn add_tool(content: &mut Content, tool: &Tool) {
    let Tool::ToolSpec(spec) = tool else { return };
    let schema = match spec.input_schema() {
        Some(ToolInputSchema::Json(schema)) => json_bytes(schema),
        _ => 0,
    };
    let described = spec.name().len() + spec.description().map_or(0, str::len);
    add_tool_bytes(content, described as u64 + schema);
}

fn add_tool_bytes(content: &mut Content, bytes: u64) {
    content.tool_bytes = content.tool_bytes.saturating_add(bytes);
}
