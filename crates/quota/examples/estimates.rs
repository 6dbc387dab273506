//! How far off the estimates of input tokens are, by what a request holds, before any reply has been seen and
//! after a hundred, against the simulator, whose ratios the limiter is not told. In simulated time.
//!
//! `cargo run -p tower-bedrock-quota --example estimates`

use bedrock_sim::{Config, ContentClass, Input, Prompt, Simulator};
use tokio::time::{Duration, sleep};
use tower::ServiceExt;
use tower_bedrock_core::{BoxError, Completion, Context, Target};
use tower_bedrock_quota::Limiter;

const CLASSES: [(&str, ContentClass); 5] = [
    ("prose", ContentClass::Prose),
    ("code", ContentClass::Code),
    ("JSON", ContentClass::Json),
    ("CJK", ContentClass::Cjk),
    ("tools", ContentClass::Tool),
];

/// Of so many requests, before and after.
const SAMPLE: usize = 50;

#[derive(Debug, Default)]
struct Errors {
    mean: f64,
    too_low: usize,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
    println!("| input | before: mean error | too low | after 100 replies: mean error | too low |");
    println!("|---|--:|--:|--:|--:|");
    for (name, class) in CLASSES {
        let simulator = Simulator::new(Config::default())?;
        let limiter = Limiter::builder().build()?;
        let mut sizes = sizes();
        let mut before = Errors::default();
        for _ in 0..SAMPLE {
            // A limiter of its own for each, which has seen nothing.
            let unlearnt = Limiter::builder().build()?;
            before.add(ask(&unlearnt, &simulator, &target, class, &mut sizes).await?);
        }
        for _ in 0..100 {
            ask(&limiter, &simulator, &target, class, &mut sizes).await?;
        }
        let mut after = Errors::default();
        for _ in 0..SAMPLE {
            after.add(ask(&limiter, &simulator, &target, class, &mut sizes).await?);
        }
        println!(
            "| {name} | {:.1}% | {} of {SAMPLE} | {:.1}% | {} of {SAMPLE} |",
            before.percent(),
            before.too_low,
            after.percent(),
            after.too_low,
        );
    }
    Ok(())
}

/// From 1 to 16 KB, in no order.
fn sizes() -> impl Iterator<Item = u64> {
    let next = |size: &u64| Some((size * 7_919 + 1_013) % 15_000);
    std::iter::successors(Some(4_321), next).map(|size| size + 1_000)
}

/// Asks the simulator something through the limiter, and answers the estimate over the truth.
async fn ask(
    limiter: &Limiter,
    simulator: &Simulator,
    target: &Target,
    class: ContentClass,
    sizes: &mut impl Iterator<Item = u64>,
) -> Result<f64, BoxError> {
    const MAX_OUTPUT: u64 = 100;
    let bytes = sizes.next().unwrap_or_default();
    let prompt = Prompt::new(Input::of_bytes(class, bytes)).with_max_output_tokens(MAX_OUTPUT);
    let (demand, context) = (prompt.demand(), Context::new());
    let mut reserved = limiter.reserve(target, &demand, &context).await?;
    let estimate = reserved.tokens() - MAX_OUTPUT;
    reserved.sent();
    let answer = simulator
        .service()
        .oneshot(prompt.to(target.clone()))
        .await?;
    let usage = answer.usage().ok_or("an answer without usage")?;
    reserved.complete(&Completion::complete(Some(usage)));
    // The next minute, so that quotas play no part.
    sleep(Duration::from_secs(60)).await;
    Ok(estimate as f64 / usage.input as f64)
}

impl Errors {
    fn add(&mut self, ratio: f64) {
        self.mean += (ratio - 1.0).abs() / SAMPLE as f64;
        self.too_low += usize::from(ratio < 1.0);
    }

    fn percent(&self) -> f64 {
        100.0 * self.mean
    }
}
