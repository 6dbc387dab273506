//! 200 prompts under one quota: as fast as it allows, and without a single 429. In simulated time, so that it
//! takes a moment and not ten minutes.
//!
//! ```console
//! $ cargo run -p examples --bin batch
//! ```

use anyhow::{Context as _, Result};
use bedrock_sim::{Config, Input, Prompt, Simulator};
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};
use tower_bedrock::{
    Context, Priority, Target,
    quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern},
};

const MODEL: &str = "amazon.nova-lite-v1:0";
const TOKENS_PER_MINUTE: u64 = 20_000;
const PROMPTS: u64 = 200;
/// Calls that may wait or be under way at once.
const CONCURRENCY: usize = 16;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let config = format!(
        "[models.{MODEL:?}]\ntokens_per_minute = {TOKENS_PER_MINUTE}\noutput_tokens = {{ min = 100, max = 400 }}"
    );
    let simulator = Simulator::new(Config::from_toml(&config)?)?;

    let limits = Limits::new().with_tokens_per_minute(TOKENS_PER_MINUTE);
    let table = LimitTable::new().with(QuotaPattern::model(MODEL), limits);
    let limiter = Limiter::builder()
        .limits(table)
        // A batch has no user who would give up.
        .max_wait(std::time::Duration::from_secs(3_600))
        .build()?;
    let bedrock = ServiceBuilder::new()
        .layer(QuotaLayer::new(limiter))
        .service(simulator.service());

    let bar = ProgressBar::new(PROMPTS)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let started = Instant::now();
    let target = Target::parse("us-east-1", MODEL)?;
    let mut calls = stream::iter(0..PROMPTS)
        .map(|number| {
            let mut input = Input::default();
            input.add_text(&format!("Summarise document {number} in two sentences."));
            let call = Prompt::new(input)
                .with_max_output_tokens(400)
                .to(target.clone())
                .with_context(Context::new().with_priority(Priority::Batch));
            bedrock.clone().oneshot(call)
        })
        .buffer_unordered(CONCURRENCY);

    let (mut tokens, mut failed) = (0, 0);
    while let Some(answer) = calls.next().await {
        match answer {
            Ok(answer) => tokens += answer.usage().context("usage")?.total(),
            Err(_) => failed += 1,
        }
        let minutes = started.elapsed().as_secs_f64() / 60.0;
        bar.inc(1);
        bar.set_message(format!(
            "{failed} failed, {:.0} tokens a minute",
            tokens as f64 / minutes
        ));
    }
    bar.finish();

    println!(
        "{PROMPTS} prompts, {failed} failed, {tokens} tokens in {:.1} minutes of a quota of {TOKENS_PER_MINUTE} a minute",
        started.elapsed().as_secs_f64() / 60.0
    );
    Ok(())
}
