//! The simulated account that all are compared on.

use anyhow::{Context as _, Result};
use bedrock_sim::{Config, LedgerEntry, ModelSettings, Simulator, WindowShape};
use tokio::time::Duration;
use tower_bedrock::Target;

/// The model that is asked for.
pub const PRIMARY: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

/// The one that stands in for it.
pub const FALLBACK: &str = "us.anthropic.claude-3-5-haiku-20241022-v1:0";

/// Tokens a minute, of each model.
pub const TOKENS_PER_MINUTE: u64 = 100_000;

/// The most calls a ledger is asked to remember.
const LEDGER: usize = 2_000_000;

/// A model in the Region of all experiments.
///
/// # Errors
///
/// Where it cannot be a model.
pub fn target(model: &str) -> Result<Target> {
    Target::parse("us-east-1", model).context("no such target")
}

/// A simulator whose two models have a quota of so many tokens a minute each in windows of `shape`, a burndown
/// of 5, and answer at 50 tokens a second after a second.
///
/// # Errors
///
/// Where the settings cannot be.
pub fn account(seed: u64, tokens_per_minute: u64, shape: WindowShape) -> Result<Simulator> {
    let limits = ModelSettings {
        requests_per_minute: Some(None),
        tokens_per_minute: Some(Some(tokens_per_minute)),
        tokens_per_day: Some(None),
        window: Some(shape),
        ..pace()
    };
    simulator(seed, &limits)
}

/// A simulator whose two models have these settings.
///
/// # Errors
///
/// Where the settings cannot be.
pub fn simulator(seed: u64, settings: &ModelSettings) -> Result<Simulator> {
    scaled(seed, 1.0, settings)
}

/// The same, its time running so many times as fast as the clients'.
///
/// # Errors
///
/// Where the settings cannot be.
pub fn scaled(seed: u64, time_scale: f64, settings: &ModelSettings) -> Result<Simulator> {
    let mut config = Config {
        seed,
        time_scale,
        ledger_entries: LEDGER,
        ..Config::default()
    };
    for model in [PRIMARY, FALLBACK] {
        config.models.insert(model.into(), settings.clone());
    }
    Ok(Simulator::new(config)?)
}

/// How fast the models answer, and what an output token costs.
#[must_use]
pub fn pace() -> ModelSettings {
    ModelSettings {
        burndown: Some(5),
        time_to_first_token_ms: Some(1_000),
        tokens_per_second: Some(50.0),
        tokenizer_ratio: Some(1.0),
        ..ModelSettings::default()
    }
}

/// Whether a call was throttled.
#[must_use]
pub fn is_throttled(entry: &LedgerEntry) -> bool {
    entry.status == Some(429)
}

/// When a call came.
#[must_use]
pub fn came(entry: &LedgerEntry) -> Duration {
    Duration::from_millis(entry.at_ms)
}
