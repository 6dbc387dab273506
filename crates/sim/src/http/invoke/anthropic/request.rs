//! What Bedrock takes of Anthropic's Messages.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    ServiceError,
    http::{
        body::malformed_input,
        converse::{
            content::{Blob, unread},
            prompt::add_texts,
            validate::Constraints,
        },
        prompt::{Prompt, Question},
    },
};

const VERSION: &str = "bedrock-2023-05-31";

#[derive(Deserialize)]
pub(crate) struct Request {
    anthropic_version: Option<String>,
    max_tokens: Option<i32>,
    #[serde(default)]
    messages: Vec<Message>,
    system: Option<Content>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    #[serde(default)]
    tools: Vec<Value>,
    #[serde(default, rename = "anthropic_beta", deserialize_with = "unread")]
    _anthropic_beta: (),
    #[serde(default, rename = "stop_sequences", deserialize_with = "unread")]
    _stop_sequences: (),
    #[serde(default, rename = "tool_choice", deserialize_with = "unread")]
    _tool_choice: (),
    #[serde(default, rename = "thinking", deserialize_with = "unread")]
    _thinking: (),
    #[serde(default, rename = "metadata", deserialize_with = "unread")]
    _metadata: (),
    #[serde(default, rename = "output_config", deserialize_with = "unread")]
    _output_config: (),
    #[serde(default, rename = "context_management", deserialize_with = "unread")]
    _context_management: (),
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Content,
}

/// Text, or blocks.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "content: expected a string or a list of content blocks"
)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

#[derive(Deserialize)]
struct Block {
    #[serde(flatten)]
    kind: Kind,
    cache_control: Option<CacheControl>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    Text { text: String },
    Image { source: Source },
    Document { source: Source },
    ToolUse { name: String, input: Value },
    ToolResult { content: Option<Content> },
    Thinking { thinking: String },
    RedactedThinking {},
    SearchResult { content: Value },
    ServerToolUse { name: String, input: Value },
    WebSearchToolResult { content: Value },
    CodeExecutionToolResult { content: Value },
}

#[derive(Deserialize)]
struct CacheControl {
    ttl: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source {
    Base64 { data: Blob },
    Text { data: String },
    Content { content: Value },
}

impl Request {
    pub(crate) fn question(self) -> Result<Question, ServiceError> {
        self.check()?;
        let mut prompt = Prompt::default();
        for tool in &self.tools {
            prompt.tool_json(&tool.to_string());
            if let Some(control) = tool.get("cache_control") {
                prompt.cache_point(control.get("ttl").and_then(Value::as_str));
            }
        }
        if let Some(system) = &self.system {
            system.add_to(&mut prompt);
        }
        for message in &self.messages {
            prompt.message(&message.role);
            message.content.add_to(&mut prompt);
        }
        Ok(Question {
            prompt,
            max_tokens: self
                .max_tokens
                .and_then(|tokens| u64::try_from(tokens).ok()),
        })
    }

    fn check(&self) -> Result<(), ServiceError> {
        match self.anthropic_version.as_deref() {
            None => {
                return Err(malformed_input(
                    "#: required key [anthropic_version] not found",
                ));
            }
            Some(VERSION) => {}
            Some(_) => {
                return Err(ServiceError::validation(format!(
                    "anthropic_version: expected \"{VERSION}\""
                )));
            }
        }
        if self.max_tokens.is_none() {
            return Err(malformed_input("#: required key [max_tokens] not found"));
        }
        let mut constraints = Constraints::default();
        constraints.range("max_tokens", self.max_tokens, 1..=i32::MAX);
        constraints.range("temperature", self.temperature, 0.0..=1.0);
        constraints.range("top_p", self.top_p, 0.0..=1.0);
        constraints.range("top_k", self.top_k, 0..=i64::MAX);
        constraints.check()?;
        self.check_messages()
    }

    fn check_messages(&self) -> Result<(), ServiceError> {
        let Some(first) = self.messages.first() else {
            return Err(ServiceError::validation(
                "messages: at least one message is required",
            ));
        };
        for (index, message) in self.messages.iter().enumerate() {
            if !["user", "assistant"].contains(&message.role.as_str()) {
                let role: String = message.role.chars().take(64).collect();
                return Err(malformed_input(&format!(
                    "#/messages/{index}/role: {role} is not a valid enum value"
                )));
            }
            // An answer may be begun by the caller, and begun with nothing.
            let is_last = index + 1 == self.messages.len();
            if message.content.is_empty() && !(is_last && message.role == "assistant") {
                return Err(ServiceError::validation(format!(
                    "messages.{index}: all messages must have non-empty content except for the \
                     optional final assistant message"
                )));
            }
        }
        // Turns of one role in a row are taken as one turn, so they need not alternate.
        if first.role != "user" {
            return Err(ServiceError::validation(
                "messages: first message must use the \"user\" role",
            ));
        }
        Ok(())
    }
}

impl Content {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Blocks(blocks) => blocks.is_empty(),
        }
    }

    fn add_to(&self, prompt: &mut Prompt) {
        match self {
            Self::Text(text) => prompt.text(text),
            Self::Blocks(blocks) => blocks.iter().for_each(|block| block.add_to(prompt)),
        }
    }
}

impl Block {
    fn add_to(&self, prompt: &mut Prompt) {
        match &self.kind {
            Kind::Text { text } | Kind::Thinking { thinking: text } => prompt.text(text),
            Kind::Image { source } => prompt.image(source.bytes()),
            Kind::Document { source } => match source {
                Source::Base64 { data } => prompt.document(data.len),
                Source::Text { data } => prompt.text(data),
                Source::Content { content } => add_texts(prompt, content),
            },
            Kind::ToolUse { name, input } | Kind::ServerToolUse { name, input } => {
                prompt.text(name);
                prompt.tool_json(&input.to_string());
            }
            Kind::ToolResult { content } => {
                if let Some(content) = content {
                    content.add_to(prompt);
                }
            }
            Kind::SearchResult { content }
            | Kind::WebSearchToolResult { content }
            | Kind::CodeExecutionToolResult { content } => add_texts(prompt, content),
            Kind::RedactedThinking {} => {}
        }
        if let Some(control) = &self.cache_control {
            prompt.cache_point(control.ttl.as_deref());
        }
    }
}

impl Source {
    fn bytes(&self) -> u64 {
        match self {
            Self::Base64 { data } => data.len,
            Self::Text { data } => data.len() as u64,
            Self::Content { .. } => 0,
        }
    }
}
