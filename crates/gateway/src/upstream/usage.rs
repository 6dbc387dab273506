//! Where Bedrock says what a call cost.

use http::HeaderMap;
use serde::Deserialize;
use tower_bedrock_core::TokenUsage;

/// From the headers of an InvokeModel answer.
pub(super) fn from_headers(headers: &HeaderMap) -> Option<TokenUsage> {
    let count = |name: &str| -> Option<u64> { headers.get(name)?.to_str().ok()?.parse().ok() };
    Some(TokenUsage {
        input: count("x-amzn-bedrock-input-token-count")?,
        output: count("x-amzn-bedrock-output-token-count").unwrap_or(0),
        cache_read: count("x-amzn-bedrock-cache-read-input-token-count").unwrap_or(0),
        cache_write: count("x-amzn-bedrock-cache-write-input-token-count").unwrap_or(0),
    })
}

/// From the body of a Converse answer, or the `metadata` event of its stream: both have it under `usage`.
pub(super) fn from_converse(json: &[u8]) -> Option<TokenUsage> {
    #[derive(Deserialize)]
    struct Body {
        usage: Usage,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Usage {
        input_tokens: u64,
        output_tokens: u64,
        cache_read_input_tokens: Option<u64>,
        cache_write_input_tokens: Option<u64>,
    }

    let Body { usage } = serde_json::from_slice(json).ok()?;
    Some(TokenUsage {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cache_read: usage.cache_read_input_tokens.unwrap_or(0),
        cache_write: usage.cache_write_input_tokens.unwrap_or(0),
    })
}

/// `amazon-bedrock-invocationMetrics`, in the last chunk of an InvokeModel stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InvocationMetrics {
    input_token_count: Option<u64>,
    output_token_count: Option<u64>,
    cache_read_input_token_count: Option<u64>,
    cache_write_input_token_count: Option<u64>,
}

impl From<InvocationMetrics> for TokenUsage {
    fn from(metrics: InvocationMetrics) -> Self {
        Self {
            input: metrics.input_token_count.unwrap_or(0),
            output: metrics.output_token_count.unwrap_or(0),
            cache_read: metrics.cache_read_input_token_count.unwrap_or(0),
            cache_write: metrics.cache_write_input_token_count.unwrap_or(0),
        }
    }
}
