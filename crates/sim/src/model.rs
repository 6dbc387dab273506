use std::collections::HashMap;

use rand::{Rng, RngExt};
use tokio::time::Duration;
use tower_bedrock_core::{Region, Route};

use crate::{ModelSettings, OutputTokens, burndown::burndown};

/// A base model: how it is called, how it answers, and where its quotas are.
#[derive(Debug)]
pub(crate) struct Model {
    /// The ways it can be called, and the limits that each begins with in a Region.
    pub(crate) routes: HashMap<Route, ModelSettings>,
    pub(crate) burndown: u64,
    pub(crate) max_output_tokens: u64,
    output_tokens: OutputTokens,
    time_to_first_token: Duration,
    tokens_per_second: f64,
    pub(crate) tokens_per_delta: u64,
    latency_spread: f64,
    pub(crate) tokenizer_ratio: f64,
    /// The numbers of its quotas.
    pub(crate) quotas: HashMap<(Region, Route), usize>,
}

impl Model {
    pub(crate) fn new(base: &str) -> Self {
        Self {
            routes: HashMap::new(),
            burndown: burndown(base),
            max_output_tokens: 8_192,
            output_tokens: OutputTokens::Exactly(64),
            time_to_first_token: Duration::from_millis(300),
            tokens_per_second: 80.0,
            tokens_per_delta: 4,
            latency_spread: 0.0,
            tokenizer_ratio: 1.0,
            quotas: HashMap::new(),
        }
    }

    /// Sets what is given of the model itself; quotas are kept elsewhere.
    pub(crate) fn set(&mut self, settings: &ModelSettings) {
        fn set<T: Copy>(value: &mut T, setting: Option<T>) {
            if let Some(setting) = setting {
                *value = setting;
            }
        }
        set(&mut self.burndown, settings.burndown);
        set(&mut self.max_output_tokens, settings.max_output_tokens);
        set(&mut self.output_tokens, settings.output_tokens);
        let first_token = settings.time_to_first_token_ms.map(Duration::from_millis);
        set(&mut self.time_to_first_token, first_token);
        set(&mut self.tokens_per_second, settings.tokens_per_second);
        set(&mut self.tokens_per_delta, settings.tokens_per_delta);
        set(&mut self.latency_spread, settings.latency_spread);
        set(&mut self.tokenizer_ratio, settings.tokenizer_ratio);
    }

    /// How many tokens it would say.
    pub(crate) fn draw_output_tokens(&self, random: &mut impl Rng) -> u64 {
        let (min, max) = self.output_tokens.range();
        random.random_range(min..=max)
    }

    /// How long until the first token, and how many tokens a second from then on.
    pub(crate) fn draw_latency(&self, random: &mut impl Rng) -> (Duration, f64) {
        let spread = self.latency_spread;
        let mut factor = || random.random_range(1.0 - spread..=1.0 + spread);
        (
            self.time_to_first_token.mul_f64(factor()),
            self.tokens_per_second * factor(),
        )
    }
}
