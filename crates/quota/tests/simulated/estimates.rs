//! How far off the estimates of input tokens are, by what a request holds, before any reply has been seen and after a
//! hundred; the limiter is not told the simulator's ratios.
//!
//! `cargo test -p tower-bedrock-quota --test simulated estimates -- --nocapture` prints the table.

use bedrock_sim::{Config, ContentClass, Input, Prompt, Simulator};
use tokio::time::{Duration, sleep};
use tower::ServiceExt;
use tower_bedrock_core::{Completion, Context, Target};
use tower_bedrock_quota::Limiter;

/// And the most that an estimate may be off before and after, in percent.
const CLASSES: [(&str, ContentClass, f64, f64); 5] = [
    ("prose", ContentClass::Prose, 10.0, 0.5),
    ("code", ContentClass::Code, 40.0, 0.5),
    ("JSON", ContentClass::Json, 50.0, 0.5),
    ("CJK", ContentClass::Cjk, 25.0, 0.5),
    ("tools", ContentClass::Tool, 45.0, 4.0),
];

/// Of so many requests, before and after.
const SAMPLE: usize = 50;

#[derive(Debug, Default)]
struct Errors {
    mean: f64,
    too_low: usize,
}

#[tokio::test(start_paused = true)]
async fn a_hundred_replies_teach_what_every_class_of_content_counts() {
    let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0").unwrap();
    println!("| input | before: mean error | too low | after 100 replies: mean error | too low |");
    println!("|---|--:|--:|--:|--:|");
    for (name, class, most_before, most_after) in CLASSES {
        let simulator = Simulator::new(Config::default()).unwrap();
        let limiter = Limiter::builder().build().unwrap();
        let mut sizes = sizes();
        let mut before = Errors::default();
        for _ in 0..SAMPLE {
            // A limiter of its own for each, which has seen nothing.
            let unlearnt = Limiter::builder().build().unwrap();
            before.add(ask(&unlearnt, &simulator, &target, class, &mut sizes).await);
        }
        for _ in 0..100 {
            ask(&limiter, &simulator, &target, class, &mut sizes).await;
        }
        let mut after = Errors::default();
        for _ in 0..SAMPLE {
            after.add(ask(&limiter, &simulator, &target, class, &mut sizes).await);
        }
        println!(
            "| {name} | {:.1}% | {} of {SAMPLE} | {:.1}% | {} of {SAMPLE} |",
            before.percent(),
            before.too_low,
            after.percent(),
            after.too_low,
        );
        assert!(before.percent() < most_before, "{name}: {before:?}");
        assert!(after.percent() < most_after, "{name}: {after:?}");
        // The quantile that is asked for is 0.99.
        assert!(after.too_low <= 1, "{name}: {after:?}");
    }
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
) -> f64 {
    const MAX_OUTPUT: u64 = 100;
    let bytes = sizes.next().unwrap_or_default();
    let prompt = Prompt::new(Input::of_bytes(class, bytes)).with_max_output_tokens(MAX_OUTPUT);
    let (demand, context) = (prompt.demand(), Context::new());
    let mut reserved = limiter.reserve(target, &demand, &context).await.unwrap();
    let estimate = reserved.tokens() - MAX_OUTPUT;
    reserved.sent();
    let answer = simulator
        .service()
        .oneshot(prompt.to(target.clone()))
        .await
        .unwrap();
    let usage = answer.usage().unwrap();
    reserved.complete(&Completion::complete(Some(usage)));
    // The next minute, so that quotas play no part.
    sleep(Duration::from_secs(60)).await;
    estimate as f64 / usage.input as f64
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
