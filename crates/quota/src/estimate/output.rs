use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tower_bedrock_core::ModelId;
use wildmatch::WildMatch;

use super::quantile::Quantile;

/// The most output tokens a model can produce, by base model: what Bedrock reserves for a request that sets
/// no `max_tokens`.
///
/// ```
/// use tower_bedrock_quota::MaxOutputTokens;
///
/// let table = MaxOutputTokens::default().with("acme.large-*", 16_384);
/// assert_eq!(table.of("acme.large-2"), 16_384);
/// assert_eq!(table.of("anthropic.claude-sonnet-4-20250514-v1:0"), 64_000);
/// ```
///
/// Patterns are globs (`*` any run of characters, `?` any one), and the one added last goes first. A model
/// that none matches counts [`UNKNOWN`](Self::UNKNOWN).
///
/// Source of the default table: the models' own documentation, as of November 2026.
#[derive(Clone, Debug)]
pub struct MaxOutputTokens {
    patterns: Vec<(WildMatch, u64)>,
}

const DEFAULTS: &[(&str, u64)] = &[
    ("anthropic.claude-3-5-*", 8_192),
    ("anthropic.claude-3-7-*", 64_000),
    ("anthropic.claude-3-*", 4_096),
    ("anthropic.claude-opus-4-1-*", 32_000),
    ("anthropic.claude-opus-4-2*", 32_000),
    ("anthropic.claude-*-4-2*", 64_000),
    ("anthropic.claude-*-4-5*", 64_000),
    ("anthropic.claude-v*", 4_096),
    ("anthropic.claude-instant*", 4_096),
    ("anthropic.*", 128_000),
    ("amazon.nova-2*", 65_536),
    ("amazon.nova-*", 10_000),
    ("amazon.titan-*", 8_192),
    ("meta.llama3*", 2_048),
    ("openai.*", 128_000),
];

impl MaxOutputTokens {
    /// What a model counts that the table does not know.
    pub const UNKNOWN: u64 = 8_192;

    /// Sets the most output tokens of the base models that match a glob, before all patterns there are
    /// already. A cross-Region prefix in front of the glob is passed over.
    #[must_use]
    pub fn with(mut self, pattern: &str, tokens: u64) -> Self {
        let (_, base) = ModelId::split_prefix(pattern);
        self.patterns.insert(0, (WildMatch::new(base), tokens));
        self
    }

    /// The most output tokens of a base model.
    #[must_use]
    pub fn of(&self, base: &str) -> u64 {
        self.patterns
            .iter()
            .find(|(pattern, _)| pattern.matches(base))
            .map_or(Self::UNKNOWN, |(_, tokens)| *tokens)
    }
}

impl Default for MaxOutputTokens {
    fn default() -> Self {
        let patterns = DEFAULTS
            .iter()
            .map(|(pattern, tokens)| (WildMatch::new(pattern), *tokens))
            .collect();
        Self { patterns }
    }
}

/// How requests that set no `max_tokens` are given one, where that is asked for: from the outputs that the
/// model has produced so far.
///
/// A bound cuts off answers that would have been longer. The default leaves room for twice the 99th
/// percentile of the outputs seen, and bounds nothing before it has seen a hundred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RightSizing {
    /// The quantile of the outputs seen: 0.5 to 0.999. Default 0.99.
    pub quantile: f64,
    /// What it is multiplied by: 1 to 100. Default 2.
    pub margin: f64,
    /// The least bound set. Default 256.
    pub at_least: u64,
    /// How many outputs must have been seen: 1 or more. Default 100.
    pub after: u32,
}

impl Default for RightSizing {
    fn default() -> Self {
        Self {
            quantile: 0.99,
            margin: 2.0,
            at_least: 256,
            after: 100,
        }
    }
}

/// The outputs that one model version has produced.
#[derive(Debug)]
pub(crate) struct OutputSizes {
    sizing: RightSizing,
    /// The bound to be set; zero for none yet.
    bound: AtomicU64,
    replies: AtomicU32,
    /// Of the logarithm of the outputs: they vary by factors.
    seen: Mutex<Quantile>,
}

const ALL_SEEN: u32 = 1_024;
const THEN_EVERY: u32 = 8;

impl OutputSizes {
    pub(crate) const fn new(sizing: RightSizing) -> Self {
        Self {
            sizing,
            bound: AtomicU64::new(0),
            replies: AtomicU32::new(0),
            seen: Mutex::new(Quantile::new(sizing.quantile)),
        }
    }

    /// The bound for a request that sets none, where enough has been seen.
    pub(crate) fn bound(&self) -> Option<u64> {
        match self.bound.load(Relaxed) {
            0 => None,
            bound => Some(bound),
        }
    }

    pub(crate) fn learn(&self, output: u64) {
        let replies = self.replies.fetch_add(1, Relaxed);
        if replies >= ALL_SEEN && !replies.is_multiple_of(THEN_EVERY) {
            return;
        }
        let Some(mut seen) = self.seen.try_lock() else {
            return;
        };
        seen.add((output.max(1) as f64).ln());
        if seen.samples() >= self.sizing.after {
            // `as` saturates.
            let bound = (seen.value().exp() * self.sizing.margin).ceil() as u64;
            self.bound
                .store(bound.max(self.sizing.at_least).max(1), Relaxed);
        }
    }
}
