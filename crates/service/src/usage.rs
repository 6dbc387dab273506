//! Token usage, from the places where Bedrock's operations report it.

use aws_sdk_bedrockruntime::types;
use serde::Deserialize;
use tower_bedrock_core::TokenUsage;

/// As Converse reports it, in the body and in a stream's `metadata`.
///
/// All zero is no report: it is what the SDK makes of an answer without one, and no call uses no token.
pub(crate) fn from_converse(usage: &types::TokenUsage) -> Option<TokenUsage> {
    // A negative count would be nonsense; so would be the huge one that a cast makes of it.
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or(0);
    let usage = TokenUsage {
        input: count(usage.input_tokens),
        output: count(usage.output_tokens),
        cache_read: count(usage.cache_read_input_tokens.unwrap_or(0)),
        cache_write: count(usage.cache_write_input_tokens.unwrap_or(0)),
    };
    (usage != TokenUsage::default()).then_some(usage)
}

/// As `InvokeModel` reports it: in headers that the API reference does not list.
pub(crate) fn from_headers<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<TokenUsage> {
    let count = |name| header(name).and_then(|value| value.trim().parse().ok());
    Some(TokenUsage {
        input: count("x-amzn-bedrock-input-token-count")?,
        // A model that makes no text (an embedding) has no output count.
        output: count("x-amzn-bedrock-output-token-count").unwrap_or(0),
        cache_read: count("x-amzn-bedrock-cache-read-input-token-count").unwrap_or(0),
        cache_write: count("x-amzn-bedrock-cache-write-input-token-count").unwrap_or(0),
    })
}

/// As the last chunk of an `InvokeModelWithResponseStream` reports it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct InvocationMetrics {
    input_token_count: u64,
    output_token_count: u64,
    cache_read_input_token_count: u64,
    cache_write_input_token_count: u64,
}

impl From<InvocationMetrics> for TokenUsage {
    fn from(metrics: InvocationMetrics) -> Self {
        Self {
            input: metrics.input_token_count,
            output: metrics.output_token_count,
            cache_read: metrics.cache_read_input_token_count,
            cache_write: metrics.cache_write_input_token_count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_without_an_input_count_say_nothing() {
        assert_eq!(from_headers(|_| None), None);
        assert_eq!(from_headers(|_| Some("many")), None);
        let only_input = |name: &str| (name == "x-amzn-bedrock-input-token-count").then_some("7");
        assert_eq!(
            from_headers(only_input),
            Some(TokenUsage {
                input: 7,
                ..TokenUsage::default()
            })
        );
    }

    #[test]
    fn counts_below_zero_count_as_none() {
        let usage = types::TokenUsage::builder()
            .input_tokens(-5)
            .output_tokens(i32::MAX)
            .total_tokens(-5)
            .cache_read_input_tokens(-1)
            .build()
            .unwrap();
        assert_eq!(
            from_converse(&usage),
            Some(TokenUsage {
                output: 2_147_483_647,
                ..TokenUsage::default()
            })
        );
    }
}
