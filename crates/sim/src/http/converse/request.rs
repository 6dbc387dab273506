//! What Converse and ConverseStream take, as far as the simulator looks at it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::content::{CachePoint, ContentBlock, GuardContent, unread};

/// The body of Converse and ConverseStream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConverseRequest {
    #[serde(default)]
    pub(crate) messages: Vec<Message>,
    #[serde(default)]
    pub(crate) system: Vec<SystemBlock>,
    pub(crate) inference_config: Option<InferenceConfig>,
    pub(crate) tool_config: Option<ToolConfig>,
    pub(crate) additional_model_request_fields: Option<Value>,
    pub(crate) request_metadata: Option<BTreeMap<String, String>>,
    pub(crate) performance_config: Option<PerformanceConfig>,
    pub(crate) service_tier: Option<ServiceTierConfig>,
    #[serde(default, rename = "guardrailConfig", deserialize_with = "unread")]
    _guardrail_config: (),
    #[serde(default, rename = "promptVariables", deserialize_with = "unread")]
    _prompt_variables: (),
    #[serde(rename = "additionalModelResponseFieldPaths")]
    _additional_model_response_field_paths: Option<Vec<String>>,
    #[serde(default, rename = "outputConfig", deserialize_with = "unread")]
    _output_config: (),
}

/// The part of it that CountTokens takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConverseTokensRequest {
    #[serde(default)]
    pub(crate) messages: Vec<Message>,
    #[serde(default)]
    pub(crate) system: Vec<SystemBlock>,
    pub(crate) tool_config: Option<ToolConfig>,
    pub(crate) additional_model_request_fields: Option<Value>,
}

#[derive(Deserialize)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) content: Vec<ContentBlock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    User,
    Assistant,
    System,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SystemBlock {
    Text(String),
    GuardContent(GuardContent),
    CachePoint(CachePoint),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InferenceConfig {
    pub(crate) max_tokens: Option<i32>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    #[serde(default)]
    pub(crate) stop_sequences: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolConfig {
    pub(crate) tools: Vec<Tool>,
    #[serde(default, rename = "toolChoice", deserialize_with = "unread")]
    _tool_choice: (),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Tool {
    #[serde(rename = "toolSpec")]
    Spec(Value),
    #[serde(rename = "systemTool")]
    System(Value),
    CachePoint(CachePoint),
}

#[derive(Deserialize)]
pub(crate) struct PerformanceConfig {
    pub(crate) latency: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct ServiceTierConfig {
    #[serde(rename = "type")]
    pub(crate) tier: String,
}
