/// The tokens that one call used, as Bedrock reports them.
///
/// ```
/// use tower_bedrock_core::TokenUsage;
///
/// let usage = TokenUsage { input: 1_000, output: 100, ..TokenUsage::default() };
/// assert_eq!(usage.total(), 1_100);
/// ```
///
/// Bedrock's `inputTokens` leaves out what was read from or written to the prompt cache; those two are
/// reported beside it, and so they are kept apart here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenUsage {
    /// Input tokens that touched no prompt cache (`inputTokens`).
    pub input: u64,
    /// Generated tokens (`outputTokens`).
    pub output: u64,
    /// Input tokens read from the prompt cache (`cacheReadInputTokens`).
    pub cache_read: u64,
    /// Input tokens written to the prompt cache (`cacheWriteInputTokens`).
    pub cache_write: u64,
}

impl TokenUsage {
    /// All input tokens, whether cached or not. Saturates instead of overflowing.
    #[must_use]
    pub const fn total_input(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
    }

    /// All tokens, in and out. Saturates instead of overflowing.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total_input().saturating_add(self.output)
    }
}
