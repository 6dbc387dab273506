//! What a batch leaves of a quota's limits, and what people who come find, in paused time.

#![cfg(all(feature = "queue", feature = "stack"))]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_bedrock::{
    Answer, Context, Demand, Fault, FaultKind, Headroom, Invocation, StandardStack, Target,
    TokenUsage,
    queue::{MemoryQueue, Message, Worker, codec_fn},
    quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern},
};

/// What each call costs, and reserves.
const TOKENS: u64 = 100;

fn target() -> Target {
    Target::parse("us-east-1", "acme.small-1").unwrap()
}

fn demand() -> Demand {
    Demand::new(TOKENS).with_max_output_tokens(0)
}

fn limits(requests: impl Into<Option<u64>>, tokens: impl Into<Option<u64>>) -> LimitTable {
    let limits = Limits::new()
        .with_requests_per_minute(requests)
        .with_tokens_per_minute(tokens);
    LimitTable::new().with(QuotaPattern::any(), limits)
}

/// How many calls a batch makes in the first half of a minute, and how many people can make at once then.
async fn fill(limits: LimitTable, share: f64) -> (u64, u64) {
    let limiter = Limiter::new(limits).unwrap();
    let breaker = StandardStack::new().unwrap().breaker().handle();
    let batch = batch(&limiter, breaker, share).await;
    let mut reserved = Vec::new();
    while reserved.len() < 1_000 {
        match limiter.try_reserve(&target(), &demand(), &Context::new()) {
            Ok(one) => reserved.push(one),
            Err(_) => break,
        }
    }
    (batch, reserved.len() as u64)
}

async fn batch(limiter: &Limiter, breaker: impl Headroom, share: f64) -> u64 {
    let answering = service_fn(|_: Invocation<()>| async {
        sleep(Duration::from_millis(100)).await;
        let usage = TokenUsage {
            input: TOKENS,
            ..TokenUsage::default()
        };
        Ok::<_, BoxError>(Answer::new(()).with_usage(usage))
    });
    let queue = MemoryQueue::new();
    for number in 0..200 {
        queue.send(Message::new(number.to_string(), Bytes::new()));
    }
    let codec = codec_fn(
        |_: &Message| Ok(Invocation::new(target(), ()).with_demand(demand())),
        |_: Answer<()>| Ok(Bytes::new()),
    );
    let service = QuotaLayer::new(limiter.clone()).layer(answering);
    let worker = Worker::builder(queue, service, codec)
        .headroom((limiter.clone(), breaker))
        .leave_share(share)
        .build()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    worker.run_until(sleep_until(end)).await.answered
}

#[tokio::test(start_paused = true)]
async fn a_share_of_whichever_limit_binds_is_left() {
    let daily = limits(None, None).with_tokens_per_day("*", 100 * TOKENS);
    for (name, limits, expected) in [
        ("requests a minute", limits(100, None), (75, 25)),
        ("tokens a minute", limits(None, 100 * TOKENS), (75, 25)),
        ("tokens a day", daily, (75, 25)),
        ("both, by requests", limits(40, 100 * TOKENS), (30, 10)),
        ("both, by tokens", limits(100, 40 * TOKENS), (30, 10)),
    ] {
        assert_eq!(fill(limits, 0.25).await, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_there_is_is_used_where_nothing_is_left() {
    assert_eq!(fill(limits(100, None), 0.0).await, (100, 0));
    assert_eq!(fill(limits(None, None), 0.25).await, (200, 1_000));
}

#[tokio::test(start_paused = true)]
async fn a_limit_too_low_for_a_call_and_what_is_to_be_left_has_a_part_of_it_left() {
    // 0.9 of three requests are three, and half of that is one; of one request there is nothing to leave.
    assert_eq!(fill(limits(3, None), 0.9).await, (2, 1));
    assert_eq!(fill(limits(1, None), 0.9).await, (1, 0));
    assert_eq!(fill(limits(None, 4 * TOKENS), 0.9).await, (2, 2));
    assert_eq!(fill(limits(40, None), 1.0).await, (20, 20));
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_while_a_breaker_is_open_whatever_the_quota_has() {
    let limiter = Limiter::new(limits(100, None)).unwrap();
    let stack = StandardStack::new().unwrap();
    let breaker = stack.breaker();
    let mut failing = breaker.layer(service_fn(|_: Invocation<()>| async {
        Err::<Answer<()>, BoxError>(Fault::new(FaultKind::Internal).into())
    }));
    let open = || {
        breaker
            .handle()
            .time_to_serve(&target(), &demand(), &Context::new())
    };
    while open().is_zero() {
        let call = Invocation::new(target(), ());
        failing.ready().await.unwrap().call(call).await.unwrap_err();
    }
    assert!(open() > Duration::from_secs(1));
    assert_eq!(batch(&limiter, breaker.handle(), 0.25).await, 0);
}
