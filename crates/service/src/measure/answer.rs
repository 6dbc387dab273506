//! How much memory an answer takes, about, for who keeps it: its texts and bytes, and a flat size for what holds
//! them. `None` is the answer for what can't be measured, so that nothing large goes for little: what a later SDK adds, and
//! the traces of guardrails, which repeat what they were about.

use aws_sdk_bedrockruntime::{
    operation::converse::ConverseOutput,
    types::{
        Citation, CitationGeneratedContent, CitationLocation, CitationSourceContent,
        CitationsContentBlock, CitationsDelta, ContentBlock, ContentBlockDelta, ContentBlockStart,
        ConverseOutput as Output, ConverseStreamOutput, ErrorBlock, ImageSource,
        ReasoningContentBlock, ReasoningContentBlockDelta, ToolResultBlockDelta,
    },
};
use aws_smithy_types::Document;

use super::document::json_bytes;

/// What a block or an entry of a list takes besides what it says.
const FLAT: usize = 128;

/// An answer of Converse.
pub(crate) fn bytes_of_answer(answer: &ConverseOutput) -> Option<usize> {
    if answer.trace().is_some() {
        return None;
    }
    let blocks = match answer.output() {
        Some(Output::Message(message)) => sum(message.content(), block)?,
        Some(_) => return None,
        None => 0,
    };
    let fields = answer.additional_model_response_fields();
    Some(size_of::<ConverseOutput>() + blocks + fields.map_or(0, json))
}

/// What an event of `ConverseStream` holds, its own size aside.
pub(crate) fn bytes_of_event(event: &ConverseStreamOutput) -> Option<usize> {
    match event {
        ConverseStreamOutput::ContentBlockDelta(event) => event.delta().map_or(Some(0), delta),
        ConverseStreamOutput::ContentBlockStart(event) => match event.start() {
            None | Some(ContentBlockStart::Image(_)) => Some(0),
            Some(ContentBlockStart::ToolUse(tool)) => {
                Some(tool.tool_use_id().len() + tool.name().len())
            }
            Some(ContentBlockStart::ToolResult(result)) => Some(result.tool_use_id().len()),
            Some(_) => None,
        },
        ConverseStreamOutput::MessageStart(_) | ConverseStreamOutput::ContentBlockStop(_) => {
            Some(0)
        }
        ConverseStreamOutput::MessageStop(event) => {
            Some(event.additional_model_response_fields().map_or(0, json))
        }
        ConverseStreamOutput::Metadata(event) => event.trace().is_none().then_some(FLAT),
        _ => None,
    }
}

fn block(block: &ContentBlock) -> Option<usize> {
    match block {
        ContentBlock::Text(text) => Some(text.len()),
        ContentBlock::ToolUse(tool) => {
            Some(tool.tool_use_id().len() + tool.name().len() + json(tool.input()))
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(reasoning)) => {
            Some(reasoning.text().len() + text(reasoning.signature()))
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::RedactedContent(redacted)) => {
            Some(redacted.as_ref().len())
        }
        ContentBlock::Image(block) => Some(image(block.source())? + error(block.error())),
        ContentBlock::CitationsContent(cited) => citations(cited),
        _ => None,
    }
}

fn delta(delta: &ContentBlockDelta) -> Option<usize> {
    match delta {
        ContentBlockDelta::Text(text) => Some(text.len()),
        ContentBlockDelta::ToolUse(tool) => Some(tool.input().len()),
        ContentBlockDelta::ReasoningContent(reasoning) => match reasoning {
            ReasoningContentBlockDelta::Text(text)
            | ReasoningContentBlockDelta::Signature(text) => Some(text.len()),
            ReasoningContentBlockDelta::RedactedContent(redacted) => Some(redacted.as_ref().len()),
            _ => None,
        },
        ContentBlockDelta::ToolResult(deltas) => sum(deltas, |delta| match delta {
            ToolResultBlockDelta::Text(text) => Some(text.len()),
            ToolResultBlockDelta::Json(document) => Some(json(document)),
            _ => None,
        }),
        ContentBlockDelta::Citation(citation) => citation_delta(citation),
        ContentBlockDelta::Image(delta) => Some(image(delta.source())? + error(delta.error())),
        _ => None,
    }
}

fn citations(cited: &CitationsContentBlock) -> Option<usize> {
    let content = sum(cited.content(), |content| match content {
        CitationGeneratedContent::Text(text) => Some(text.len()),
        _ => None,
    })?;
    let citations = sum(cited.citations(), |citation: &Citation| {
        let content = sum(citation.source_content(), |content| match content {
            CitationSourceContent::Text(text) => Some(text.len()),
            _ => None,
        })?;
        let named = text(citation.title()) + text(citation.source());
        Some(named + content + location(citation.location())?)
    })?;
    Some(content + citations)
}

fn citation_delta(citation: &CitationsDelta) -> Option<usize> {
    let content = sum(citation.source_content(), |content| {
        Some(text(content.text()))
    })?;
    let named = text(citation.title()) + text(citation.source());
    Some(named + content + location(citation.location())?)
}

fn location(location: Option<&CitationLocation>) -> Option<usize> {
    match location {
        Some(CitationLocation::Web(web)) => Some(text(web.url()) + text(web.domain())),
        None
        | Some(
            CitationLocation::DocumentChar(_)
            | CitationLocation::DocumentChunk(_)
            | CitationLocation::DocumentPage(_)
            | CitationLocation::SearchResultLocation(_),
        ) => Some(0),
        Some(_) => None,
    }
}

fn image(source: Option<&ImageSource>) -> Option<usize> {
    match source {
        None => Some(0),
        Some(ImageSource::Bytes(bytes)) => Some(bytes.as_ref().len()),
        Some(_) => None,
    }
}

fn error(error: Option<&ErrorBlock>) -> usize {
    error.map_or(0, |error| text(error.message()))
}

fn text(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

/// Each of its values takes several times what it is written with.
fn json(document: &Document) -> usize {
    usize::try_from(json_bytes(document)).map_or(usize::MAX, |bytes| bytes.saturating_mul(8))
}

fn sum<T>(parts: &[T], bytes: impl Fn(&T) -> Option<usize>) -> Option<usize> {
    parts
        .iter()
        .try_fold(0, |sum: usize, part| Some(sum + FLAT + bytes(part)?))
}
