//! Amazon Nova's own body: Converse's, but for a few names.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Plan, ServiceError,
    http::{
        body::malformed_input,
        converse::{
            answer::{self, Echo},
            content::unread,
            prompt::prompt,
            request::{InferenceConfig, Message, SystemBlock, ToolConfig},
            validate::{self, Constraints},
        },
        event_stream::Event,
        prompt::Question,
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    schema_version: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    system: Vec<SystemBlock>,
    inference_config: Option<NovaInferenceConfig>,
    tool_config: Option<ToolConfig>,
}

/// Nova's documentation writes some names in two ways; both are taken.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NovaInferenceConfig {
    #[serde(alias = "max_new_tokens")]
    max_tokens: Option<i32>,
    temperature: Option<f64>,
    #[serde(alias = "top_p")]
    top_p: Option<f64>,
    #[serde(alias = "top_k")]
    top_k: Option<i32>,
    #[serde(default)]
    stop_sequences: Vec<String>,
    #[serde(default, rename = "reasoningConfig", deserialize_with = "unread")]
    _reasoning_config: (),
}

impl Request {
    pub(super) fn question(self) -> Result<Question, ServiceError> {
        if let Some(version) = self
            .schema_version
            .filter(|version| version != "messages-v1")
        {
            let version: String = version.chars().take(64).collect();
            return Err(malformed_input(&format!(
                "#/schemaVersion: {version} is not a valid enum value"
            )));
        }
        let config = self.inference_config;
        let max_tokens = config.as_ref().and_then(|config| config.max_tokens);
        let mut constraints = Constraints::default();
        if let Some(config) = config {
            constraints.range("inferenceConfig.topK", config.top_k, 0..=128);
            validate::inference_config(
                &InferenceConfig {
                    max_tokens,
                    temperature: config.temperature,
                    top_p: config.top_p,
                    stop_sequences: config.stop_sequences,
                },
                &mut constraints,
            );
        }
        constraints.check()?;
        validate::conversation(&self.messages, self.tool_config.as_ref())?;
        Ok(Question {
            prompt: prompt(
                &self.system,
                &self.messages,
                self.tool_config.as_ref(),
                None,
            ),
            max_tokens: max_tokens.and_then(|tokens| u64::try_from(tokens).ok()),
        })
    }
}

pub(super) fn whole(plan: &Plan) -> Value {
    json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": plan.text() }] } },
        "stopReason": plan.stop_reason().as_str(),
        "usage": {
            "inputTokens": plan.usage().input,
            "outputTokens": plan.usage().output,
            "totalTokens": plan.usage().total(),
            "cacheReadInputTokenCount": plan.usage().cache_read,
            "cacheWriteInputTokenCount": plan.usage().cache_write,
        },
    })
}

pub(super) fn start() -> Vec<Value> {
    wrap(answer::start())
}

pub(super) fn delta(text: &str) -> Vec<Value> {
    wrap(answer::delta(text))
}

pub(super) fn end(plan: &Plan) -> Vec<Value> {
    wrap(answer::end(plan, &Echo::default()))
}

/// Converse's events, each under its name.
fn wrap(events: Vec<Event>) -> Vec<Value> {
    events
        .into_iter()
        .map(|event| json!({ event.name: event.payload }))
        .collect()
}
