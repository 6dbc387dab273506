//! What Bedrock refuses in a conversation, in its own words.

use std::{
    fmt::{self, Display},
    ops::RangeInclusive,
};

use super::{
    content::{ContentBlock, Media, Source},
    request::{ConverseRequest, InferenceConfig, Message, Role, ToolConfig},
};
use crate::ServiceError;

pub(crate) const LATENCIES: &[&str] = &["standard", "optimized"];
pub(crate) const SERVICE_TIERS: &[&str] = &["priority", "default", "flex", "reserved"];

/// How many values out of their range a message describes. A body has room for many more.
const MOST_DESCRIBED: usize = 10;

/// Values out of their range. Bedrock reports all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    broken: usize,
    described: Vec<String>,
}

impl Constraints {
    pub(crate) fn range<T>(&mut self, path: &str, value: Option<T>, accepted: RangeInclusive<T>)
    where
        T: PartialOrd + Display,
    {
        let Some(value) = value else {
            return;
        };
        if value < *accepted.start() {
            let least = accepted.start();
            self.add(
                &value,
                path,
                format!("Member must have value greater than or equal to {least}"),
            );
        } else if value > *accepted.end() {
            let most = accepted.end();
            self.add(
                &value,
                path,
                format!("Member must have value less than or equal to {most}"),
            );
        }
    }

    pub(crate) fn one_of(&mut self, path: &str, value: Option<&str>, accepted: &[&str]) {
        if let Some(value) = value.filter(|value| !accepted.contains(value)) {
            let accepted = accepted.join(", ");
            self.add(
                value,
                path,
                format!("Member must satisfy enum value set: [{accepted}]"),
            );
        }
    }

    /// The length of a text, a list or a map.
    pub(crate) fn length(&mut self, path: &str, length: usize, accepted: RangeInclusive<usize>) {
        let constraint = if length < *accepted.start() {
            format!("greater than or equal to {}", accepted.start())
        } else if length > *accepted.end() {
            format!("less than or equal to {}", accepted.end())
        } else {
            return;
        };
        self.describe(format_args!(
            "Value at '{path}' failed to satisfy constraint: Member must have length {constraint}"
        ));
    }

    fn add(&mut self, value: impl Display, path: &str, constraint: String) {
        // A client chooses the value; the start of a long one is enough to recognise.
        let value: String = value.to_string().chars().take(64).collect();
        self.describe(format_args!(
            "Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
        ));
    }

    fn describe(&mut self, broken: fmt::Arguments<'_>) {
        self.broken += 1;
        if self.described.len() < MOST_DESCRIBED {
            self.described.push(broken.to_string());
        }
    }

    pub(crate) fn check(self) -> Result<(), ServiceError> {
        let count = self.broken;
        if count == 0 {
            return Ok(());
        }
        let plural = if count == 1 { "" } else { "s" };
        Err(ServiceError::validation(format!(
            "{count} validation error{plural} detected: {}",
            self.described.join("; ")
        )))
    }
}

/// Checks a whole request.
pub(crate) fn request(request: &ConverseRequest) -> Result<(), ServiceError> {
    let mut constraints = Constraints::default();
    if let Some(config) = &request.inference_config {
        inference_config(config, &mut constraints);
    }
    if let Some(config) = &request.performance_config {
        let latency = config.latency.as_deref();
        constraints.one_of("performanceConfig.latency", latency, LATENCIES);
    }
    if let Some(config) = &request.service_tier {
        constraints.one_of("serviceTier.type", Some(&config.tier), SERVICE_TIERS);
    }
    if let Some(metadata) = &request.request_metadata {
        constraints.length("requestMetadata", metadata.len(), 1..=16);
    }
    if let Some(config) = &request.tool_config {
        constraints.length("toolConfig.tools", config.tools.len(), 1..=usize::MAX);
    }
    constraints.check()?;
    conversation(&request.messages, request.tool_config.as_ref())
}

pub(crate) fn inference_config(config: &InferenceConfig, constraints: &mut Constraints) {
    constraints.range("inferenceConfig.maxTokens", config.max_tokens, 1..=i32::MAX);
    constraints.range("inferenceConfig.temperature", config.temperature, 0.0..=1.0);
    constraints.range("inferenceConfig.topP", config.top_p, 0.0..=1.0);
    for (index, sequence) in config.stop_sequences.iter().enumerate() {
        let path = format!("inferenceConfig.stopSequences.{}.member", index + 1);
        constraints.length(&path, sequence.len(), 1..=usize::MAX);
    }
}

/// Checks who speaks when, and that everybody says something.
pub(crate) fn conversation(
    messages: &[Message],
    tools: Option<&ToolConfig>,
) -> Result<(), ServiceError> {
    let mut previous = None;
    for (index, message) in messages.iter().enumerate() {
        content(index, message)?;
        // What the system says in between belongs to nobody's turn.
        if message.role == Role::System {
            continue;
        }
        if previous.is_none() && message.role != Role::User {
            break;
        }
        if previous == Some(message.role) {
            return Err(ServiceError::validation(
                "A conversation must alternate between user and assistant roles. Make sure the \
                 conversation alternates between user and assistant roles and try again.",
            ));
        }
        previous = Some(message.role);
    }
    if previous.is_none() {
        return Err(ServiceError::validation(
            "A conversation must start with a user message. Try again with a conversation that \
             starts with a user message.",
        ));
    }
    let uses_tools = messages
        .iter()
        .flat_map(|message| &message.content)
        .any(|block| {
            matches!(
                block,
                ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_)
            )
        });
    if uses_tools && tools.is_none() {
        return Err(ServiceError::validation(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    Ok(())
}

fn content(index: usize, message: &Message) -> Result<(), ServiceError> {
    if message.content.is_empty() {
        return Err(ServiceError::validation(format!(
            "The content field in the Message object at messages.{index} is empty. Add a \
             ContentBlock object to the content field and try again."
        )));
    }
    let mut constraints = Constraints::default();
    for (position, block) in message.content.iter().enumerate() {
        let at = format!("messages.{index}.content.{position}");
        match block {
            ContentBlock::Text(text) if text.trim().is_empty() => {
                return Err(ServiceError::validation(format!(
                    "The text field in the ContentBlock object at {at} is blank. Add text to the \
                     text field, and try again."
                )));
            }
            ContentBlock::ToolUse(_) if message.role != Role::Assistant => {
                return Err(ServiceError::validation(format!(
                    "The toolUse block at {at} must be in a message of the assistant role."
                )));
            }
            ContentBlock::ToolResult(_) if message.role != Role::User => {
                return Err(ServiceError::validation(format!(
                    "The toolResult block at {at} must be in a message of the user role."
                )));
            }
            ContentBlock::ToolUse(tool) => {
                let path = format!("{at}.toolUse.toolUseId");
                constraints.length(&path, tool.tool_use_id.len(), 1..=64);
            }
            ContentBlock::ToolResult(result) => {
                let path = format!("{at}.toolResult.toolUseId");
                constraints.length(&path, result.tool_use_id.len(), 1..=64);
            }
            ContentBlock::Image(Media {
                source: Source::Bytes(bytes),
                ..
            }) => {
                let path = format!("{at}.image.source.bytes");
                let length = usize::try_from(bytes.len).unwrap_or(usize::MAX);
                constraints.length(&path, length, 1..=usize::MAX);
            }
            _ => {}
        }
    }
    constraints.check()
}
