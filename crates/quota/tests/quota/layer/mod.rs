//! The layer around a mock, in paused time.

use std::{
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt};
use tower_bedrock_core::{
    Answer, BoxError, Completion, Context, Demand, Fault, FaultKind, HasCompletion, HasFault,
    Invocation, Observers, Outcome, Priority, Target, TokenUsage,
};
use tower_bedrock_quota::{
    CountTokens, Exhausted, Limit, LimitTable, Limiter, LimiterBuilder, Limits, Observe, QuotaKey,
    QuotaLayer, QuotaPattern, Reason, RightSizing,
};
use tower_test::mock;

type Call = Invocation<()>;
type Reply = Answer<()>;

const MINUTE: Duration = Duration::from_secs(60);

fn target() -> Target {
    Target::parse("us-east-1", "anthropic.claude-sonnet-4-20250514-v1:0").unwrap()
}

fn call(input: u64, max_output: u64) -> Call {
    Invocation::new(target(), ()).with_demand(Demand::new(input).with_max_output_tokens(max_output))
}

fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input,
        output,
        ..TokenUsage::default()
    }
}

/// Calls reach a mock at once, so that times are exact.
fn builder(limits: LimitTable) -> LimiterBuilder {
    Limiter::builder()
        .limits(limits)
        .delay_variation(Duration::ZERO)
}

fn limited(limits: Limits) -> Limiter {
    builder(LimitTable::new().with(QuotaPattern::any(), limits))
        .build()
        .unwrap()
}

/// One request a minute, and patience for a day.
fn patient() -> Limiter {
    let limits = Limits::new().with_requests_per_minute(1);
    builder(LimitTable::new().with(QuotaPattern::any(), limits))
        .max_wait(MINUTE * 24 * 60)
        .build()
        .unwrap()
}

fn tokens(limit: u64) -> Limiter {
    limited(Limits::new().with_tokens_per_minute(limit))
}

fn requests(limit: u64) -> Limiter {
    limited(Limits::new().with_requests_per_minute(limit))
}

fn used(limiter: &Limiter) -> u64 {
    limiter.snapshot(&target()).unwrap().tokens_per_minute.used
}

macro_rules! serve {
    ($handle:expr, $reply:expr) => {
        $handle
            .next_request()
            .await
            .unwrap()
            .1
            .send_response($reply)
    };
}

// Below the macro that they use.
mod admission;
mod keys;
mod settling;
mod telling;
