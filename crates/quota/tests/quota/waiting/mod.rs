//! Those who wait, in paused time: who goes next, who gives up, and that nobody is forgotten.

mod bounds;
mod leaving;
mod patience;
mod turns;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, advance, sleep, timeout},
};
use tower_bedrock_core::{
    Completion, Context, Demand, Headroom, Priority, Target, TokenUsage, clock,
};
use tower_bedrock_quota::{
    Exhausted, Limit, LimitTable, Limiter, LimiterBuilder, Limits, QuotaPattern, Reason,
    Reservation, Window,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn target() -> Target {
    Target::parse("us-east-1", "acme.small-1").unwrap()
}

fn tokens(tokens: u64) -> Demand {
    Demand::new(tokens).with_max_output_tokens(0)
}

fn table(limits: Limits) -> LimitTable {
    LimitTable::new().with(QuotaPattern::any(), limits)
}

fn builder(limits: Limits) -> LimiterBuilder {
    // Times are exact.
    Limiter::builder()
        .limits(table(limits))
        .delay_variation(Duration::ZERO)
        .max_wait(DAY)
}

fn bucket(tokens: u64) -> Limits {
    Limits::new()
        .with_tokens_per_minute(tokens)
        .with_window(Window::Bucket)
}

fn take_all(limiter: &Limiter, amount: u64) -> Reservation {
    let mut all = limiter
        .try_reserve(&target(), &tokens(amount), &Context::new())
        .unwrap();
    all.sent();
    all
}

fn used(tokens: u64) -> Completion {
    Completion::complete(Some(TokenUsage {
        input: tokens,
        ..TokenUsage::default()
    }))
}

type Outcome = Result<(Reservation, Duration), Exhausted>;

/// A call that waits, in a task of its own; its outcome says after how long it was let through.
async fn wait(limiter: &Limiter, demand: Demand, context: Context) -> JoinHandle<Outcome> {
    let limiter = limiter.clone();
    let start = Instant::now();
    let task = tokio::spawn(async move {
        let mut reserved = limiter.reserve(&target(), &demand, &context).await?;
        reserved.sent();
        Ok((reserved, start.elapsed()))
    });
    yield_now().await;
    task
}

async fn waited(task: JoinHandle<Outcome>) -> u64 {
    task.await.unwrap().unwrap().1.as_secs()
}
