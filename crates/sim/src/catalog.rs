//! The models that are there from the start. Ids, routes and maxima are the real ones where they were known
//! when this was written; quotas and speeds are of a plausible size and no more.

use tower_bedrock_core::{Geography, Route};

use crate::ModelSettings;

pub(crate) struct Entry {
    pub(crate) base: &'static str,
    pub(crate) routes: &'static [Route],
    requests_per_minute: Option<u64>,
    tokens_per_minute: u64,
    max_output_tokens: u64,
    time_to_first_token_ms: u64,
    tokens_per_second: f64,
    tokenizer_ratio: f64,
}

use Geography::{Apac, Au, Eu, Jp, Us};
use Route::{Geographic, Global, OnDemand};

const CLASSIC: &[Route] = &[OnDemand, Geographic(Us), Geographic(Eu), Geographic(Apac)];
const PROFILE_ONLY: &[Route] = &[Geographic(Us), Geographic(Eu), Geographic(Apac), Global];
const PROFILE_ONLY_NEW: &[Route] = &[
    Geographic(Us),
    Geographic(Eu),
    Geographic(Jp),
    Geographic(Au),
    Global,
];

#[rustfmt::skip]
pub(crate) const MODELS: &[Entry] = &[
    Entry { base: "anthropic.claude-3-haiku-20240307-v1:0",     routes: CLASSIC,          requests_per_minute: Some(1_000), tokens_per_minute: 2_000_000, max_output_tokens: 4_096,   time_to_first_token_ms: 400,   tokens_per_second: 120.0, tokenizer_ratio: 1.0 },
    Entry { base: "anthropic.claude-3-7-sonnet-20250219-v1:0",  routes: PROFILE_ONLY,     requests_per_minute: Some(250),   tokens_per_minute: 1_000_000, max_output_tokens: 64_000,  time_to_first_token_ms: 800,   tokens_per_second: 60.0,  tokenizer_ratio: 1.0 },
    Entry { base: "anthropic.claude-sonnet-4-20250514-v1:0",    routes: PROFILE_ONLY,     requests_per_minute: Some(200),   tokens_per_minute: 200_000,   max_output_tokens: 64_000,  time_to_first_token_ms: 900,   tokens_per_second: 60.0,  tokenizer_ratio: 1.04 },
    Entry { base: "anthropic.claude-sonnet-4-5-20250929-v1:0",  routes: PROFILE_ONLY_NEW, requests_per_minute: Some(10_000), tokens_per_minute: 5_000_000, max_output_tokens: 64_000, time_to_first_token_ms: 900,   tokens_per_second: 65.0,  tokenizer_ratio: 1.04 },
    Entry { base: "anthropic.claude-haiku-4-5-20251001-v1:0",   routes: PROFILE_ONLY_NEW, requests_per_minute: Some(10_000), tokens_per_minute: 5_000_000, max_output_tokens: 64_000, time_to_first_token_ms: 450,   tokens_per_second: 140.0, tokenizer_ratio: 1.04 },
    Entry { base: "anthropic.claude-opus-4-8",                  routes: PROFILE_ONLY_NEW, requests_per_minute: None,        tokens_per_minute: 2_000_000, max_output_tokens: 128_000, time_to_first_token_ms: 1_500, tokens_per_second: 45.0,  tokenizer_ratio: 1.31 },
    Entry { base: "anthropic.claude-sonnet-5",                  routes: PROFILE_ONLY_NEW, requests_per_minute: None,        tokens_per_minute: 4_000_000, max_output_tokens: 128_000, time_to_first_token_ms: 800,   tokens_per_second: 75.0,  tokenizer_ratio: 1.31 },
    Entry { base: "amazon.nova-micro-v1:0",                     routes: CLASSIC,          requests_per_minute: Some(4_000), tokens_per_minute: 8_000_000, max_output_tokens: 10_000,  time_to_first_token_ms: 250,   tokens_per_second: 220.0, tokenizer_ratio: 0.93 },
    Entry { base: "amazon.nova-lite-v1:0",                      routes: CLASSIC,          requests_per_minute: Some(4_000), tokens_per_minute: 8_000_000, max_output_tokens: 10_000,  time_to_first_token_ms: 300,   tokens_per_second: 160.0, tokenizer_ratio: 0.93 },
    Entry { base: "amazon.nova-pro-v1:0",                       routes: CLASSIC,          requests_per_minute: Some(1_000), tokens_per_minute: 2_000_000, max_output_tokens: 10_000,  time_to_first_token_ms: 500,   tokens_per_second: 100.0, tokenizer_ratio: 0.93 },
    Entry { base: "amazon.nova-2-lite-v1:0",                    routes: PROFILE_ONLY_NEW, requests_per_minute: Some(4_000), tokens_per_minute: 8_000_000, max_output_tokens: 65_535,  time_to_first_token_ms: 350,   tokens_per_second: 180.0, tokenizer_ratio: 0.88 },
    Entry { base: "meta.llama3-1-8b-instruct-v1:0",             routes: CLASSIC,          requests_per_minute: Some(800),   tokens_per_minute: 300_000,   max_output_tokens: 8_192,   time_to_first_token_ms: 300,   tokens_per_second: 130.0, tokenizer_ratio: 0.97 },
];

impl Entry {
    pub(crate) fn settings(&self) -> ModelSettings {
        ModelSettings {
            requests_per_minute: Some(self.requests_per_minute),
            tokens_per_minute: Some(Some(self.tokens_per_minute)),
            max_output_tokens: Some(self.max_output_tokens),
            time_to_first_token_ms: Some(self.time_to_first_token_ms),
            tokens_per_second: Some(self.tokens_per_second),
            tokenizer_ratio: Some(self.tokenizer_ratio),
            ..ModelSettings::default()
        }
    }
}
