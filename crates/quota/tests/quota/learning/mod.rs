//! Limits that nobody told the limiter, or that it shares with others.

mod day;
mod declared;
mod huge;
mod unknown;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{
    task::LocalSet,
    time::{Instant, advance, sleep},
};
use tower_bedrock_core::{
    Completion, Context, Demand, Fault, FaultKind, Headroom, Target, TokenUsage,
};
use tower_bedrock_quota::{Limit, LimitTable, Limiter, Limits, QuotaPattern, Reservation};

fn target() -> Target {
    Target::parse("us-east-1", "acme.small-1").unwrap()
}

fn declared() -> Limiter {
    let limits = Limits::new()
        .with_requests_per_minute(100)
        .with_tokens_per_minute(100_000);
    Limiter::new(LimitTable::new().with(QuotaPattern::any(), limits)).unwrap()
}

fn send(limiter: &Limiter) -> Reservation {
    let demand = Demand::new(500).with_max_output_tokens(500);
    let mut reserved = limiter
        .try_reserve(&target(), &demand, &Context::new())
        .unwrap();
    reserved.sent();
    reserved
}

fn effective(limiter: &Limiter) -> (u64, u64) {
    let snapshot = limiter.snapshot(&target()).unwrap();
    let (requests, tokens) = (snapshot.requests_per_minute, snapshot.tokens_per_minute);
    (requests.effective.unwrap(), tokens.effective.unwrap())
}
