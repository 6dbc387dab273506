//! Limits that nobody told the limiter, or that it shares with others, against a small service with a
//! quota, in paused time.

#![allow(clippy::unwrap_used)]

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

/// A bucket that refills so many requests a second and holds a second's worth.
struct Service {
    per_second: Cell<f64>,
    level: Cell<f64>,
    at: Cell<Instant>,
    served: RefCell<Vec<Instant>>,
    throttled: RefCell<Vec<Instant>>,
}

impl Service {
    fn new(per_second: f64) -> Rc<Self> {
        Rc::new(Self {
            per_second: Cell::new(per_second),
            level: Cell::new(per_second),
            at: Cell::new(Instant::now()),
            served: RefCell::default(),
            throttled: RefCell::default(),
        })
    }

    fn call(&self) -> bool {
        let now = Instant::now();
        let refilled = (now - self.at.replace(now)).as_secs_f64() * self.per_second.get();
        let level = (self.level.get() + refilled).min(self.per_second.get());
        let serves = level >= 1.0;
        self.level.set(if serves { level - 1.0 } else { level });
        let log = if serves {
            &self.served
        } else {
            &self.throttled
        };
        log.borrow_mut().push(now);
        serves
    }

    fn count(log: &RefCell<Vec<Instant>>, from: Instant, to: Instant) -> f64 {
        let log = log.borrow();
        log.iter().filter(|at| (from..to).contains(*at)).count() as f64
    }

    /// Answers per second, and throttles per answer.
    fn rates(&self, from: Instant, to: Instant) -> (f64, f64) {
        let served = Self::count(&self.served, from, to);
        let throttled = Self::count(&self.throttled, from, to);
        (served / (to - from).as_secs_f64(), throttled / served)
    }
}

struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

async fn work(limiter: Limiter, service: Rc<Service>, kind: FaultKind, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let target = target();
    let demand = Demand::new(100).with_max_output_tokens(100);
    let half = Duration::from_millis(50);
    sleep(Duration::from_millis(100).mul_f64(random.share())).await;
    loop {
        let Ok(mut reserved) = limiter.reserve(&target, &demand, &Context::new()).await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        reserved.sent();
        sleep(half).await;
        let served = service.call();
        sleep(half).await;
        if served {
            let usage = TokenUsage {
                input: 100,
                output: 50,
                ..TokenUsage::default()
            };
            reserved.complete(&Completion::complete(Some(usage)));
        } else {
            reserved.fail(&Fault::new(kind));
            // What a retry layer does: full jitter.
            sleep(Duration::from_secs(1).mul_f64(random.share())).await;
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// Forty workers in so many processes that don't talk to one another.
fn start(processes: usize, limits: &LimitTable, service: &Rc<Service>, seed: u64) -> Vec<Limiter> {
    start_throttled(
        processes,
        limits,
        service,
        FaultKind::ThrottledRequests,
        seed,
    )
}

/// The same, throttled for requests or for tokens.
fn start_throttled(
    processes: usize,
    limits: &LimitTable,
    service: &Rc<Service>,
    kind: FaultKind,
    seed: u64,
) -> Vec<Limiter> {
    let limiters: Vec<_> = (0..processes)
        .map(|_| Limiter::new(limits.clone()).unwrap())
        .collect();
    for worker in 0..40 {
        let limiter = limiters[worker % processes].clone();
        let seed = seed * 1_000 + worker as u64;
        tokio::task::spawn_local(work(limiter, Rc::clone(service), kind, seed));
    }
    limiters
}

/// Runs forty workers for so many seconds and answers the share of the quota that was used, and throttles per
/// answer, after a warm-up.
fn use_up(processes: usize, warm_up: u64, seconds: u64, seed: u64) -> (f64, f64) {
    let mut rates = (0.0, 0.0);
    run(async {
        let service = Service::new(10.0);
        let from = Instant::now() + Duration::from_secs(warm_up);
        let _limiters = start(processes, &LimitTable::new(), &service, seed);
        sleep(Duration::from_secs(warm_up + seconds)).await;
        let (served, throttled) = service.rates(from, Instant::now());
        rates = (served / 10.0, throttled);
    });
    rates
}

#[test]
fn an_unknown_limit_is_found_and_used() {
    let (used, throttled) = use_up(1, 120, 600, 1);
    assert!(used > 0.98, "{used}");
    assert!(throttled < 0.006, "{throttled}");
}

#[test]
fn processes_that_know_nothing_of_one_another_share_it() {
    for processes in [10, 40] {
        let (used, throttled) = use_up(processes, 120, 780, 1);
        assert!(used > 0.97, "{processes}: {used}");
        assert!(throttled < 0.01, "{processes}: {throttled}");
    }
}

#[test]
fn a_limit_that_changes_is_followed() {
    for seed in 1..=3 {
        run(async {
            let service = Service::new(10.0);
            let _limiters = start(1, &LimitTable::new(), &service, seed);
            sleep(Duration::from_secs(300)).await;
            for rate in [20.0, 10.0] {
                service.per_second.set(rate);
                sleep(Duration::from_secs(35)).await;
                let from = Instant::now();
                sleep(Duration::from_secs(20)).await;
                let (served, throttled) = service.rates(from, Instant::now());
                assert!(served > rate * 0.9, "{served} of {rate}");
                assert!(throttled < 0.05, "{throttled}");
                sleep(Duration::from_secs(100)).await;
            }
        });
    }
}

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

#[tokio::test(start_paused = true)]
async fn a_throttle_teaches_the_limit_it_names_and_no_other() {
    use FaultKind::*;
    for kind in FaultKind::ALL {
        let limiter = declared();
        send(&limiter).fail(&Fault::new(kind));
        let expected = match kind {
            // Hardly anything was used, so the level is halved first.
            ThrottledRequests => (47, 100_000),
            ThrottledTokens => (100, 47_500),
            // One that does not say which teaches the fuller one; here they are equally full.
            Throttled => (47, 100_000),
            _ => (100, 100_000),
        };
        assert_eq!(effective(&limiter), expected, "{kind}");
    }
    // With the tokens used up further than the requests, it is the tokens.
    let limiter = declared();
    let large = Demand::new(60_000).with_max_output_tokens(0);
    let mut reserved = limiter
        .try_reserve(&target(), &large, &Context::new())
        .unwrap();
    reserved.sent();
    send(&limiter).fail(&Fault::new(Throttled));
    assert_eq!(effective(&limiter), (100, 57_950));
}

#[tokio::test(start_paused = true)]
async fn throttles_of_calls_sent_before_the_shrink_are_one_event() {
    let limiter = declared();
    let calls: Vec<_> = (0..80).map(|_| send(&limiter)).collect();
    advance(Duration::from_secs(1)).await;
    for call in calls {
        call.fail(&Fault::new(FaultKind::ThrottledRequests));
    }
    // 0.95 of the 80 that were in use.
    assert_eq!(effective(&limiter).0, 76);
    // A call sent after it is another.
    advance(Duration::from_secs(1)).await;
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledRequests));
    assert!(effective(&limiter).0 < 76);
}

#[tokio::test(start_paused = true)]
async fn calm_restores_a_declared_limit() {
    let limiter = declared();
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledRequests));
    assert_eq!(effective(&limiter).0, 47);
    let mut at = Vec::new();
    for _ in 0..4 {
        advance(Duration::from_secs(120)).await;
        at.push(effective(&limiter).0);
    }
    // Two minutes of doubt, then a tenth of the limit a minute.
    assert_eq!(at, [47, 67, 87, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_told_not_to_learn_keeps_to_what_is_declared() {
    let limits = Limits::new()
        .with_requests_per_minute(100)
        .with_tokens_per_minute(100_000);
    let limiter = Limiter::builder()
        .limits(LimitTable::new().with(QuotaPattern::any(), limits))
        .learn(false)
        .build()
        .unwrap();
    for kind in [
        FaultKind::ThrottledRequests,
        FaultKind::ThrottledTokens,
        FaultKind::ThrottledTokensPerDay,
    ] {
        send(&limiter).fail(&Fault::new(kind));
    }
    assert_eq!(effective(&limiter), (100, 100_000));
    drop(send(&limiter));
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_never_forbids_a_call_that_the_declared_limit_allows() {
    let limiter = declared();
    for _ in 0..20 {
        advance(Duration::from_secs(61)).await;
        send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
    }
    let (_, tokens) = effective(&limiter);
    assert!(tokens < 10_000, "{tokens}");
    let large = Demand::new(90_000).with_max_output_tokens(0);
    let mut reserved = limiter
        .reserve(&target(), &large, &Context::new())
        .await
        .unwrap();
    reserved.sent();
}

/// What a pace was charged drains for no longer than a window would have held it.
#[tokio::test(start_paused = true)]
async fn one_call_blocks_a_pace_for_a_period_at_most() {
    let costs_all = |call: Reservation| {
        let usage = TokenUsage {
            input: u64::MAX,
            ..TokenUsage::default()
        };
        call.complete(&Completion::complete(Some(usage)));
    };
    let is_throttled = |call: Reservation| call.fail(&Fault::new(FaultKind::ThrottledTokens));
    for ends in [drop, Reservation::refund, costs_all, is_throttled] {
        let limiter = Limiter::new(LimitTable::new()).unwrap();
        send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
        advance(Duration::from_secs(60)).await;
        let huge = Demand::new(500).with_max_output_tokens(u64::MAX);
        let mut reserved = limiter
            .try_reserve(&target(), &huge, &Context::new())
            .unwrap();
        reserved.sent();
        let small = Demand::new(500).with_max_output_tokens(500);
        let wait = limiter.time_to_serve(&target(), &small, &Context::new());
        assert!(wait <= Duration::from_secs(61), "{wait:?}");
        ends(reserved);
        advance(Duration::from_secs(61)).await;
        send(&limiter).refund();
    }
}

#[tokio::test(start_paused = true)]
async fn a_huge_call_that_is_throttled_keeps_the_next_waiting() {
    let limiter = Limiter::new(LimitTable::new()).unwrap();
    let huge = Demand::new(500).with_max_output_tokens(u64::MAX / 2);
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
    for _ in 0..5 {
        advance(Duration::from_secs(61)).await;
        let mut reserved = limiter
            .try_reserve(&target(), &huge, &Context::new())
            .unwrap();
        reserved.sent();
        advance(Duration::from_millis(100)).await;
        reserved.fail(&Fault::new(FaultKind::ThrottledTokens));
        let refused = limiter.try_reserve(&target(), &huge, &Context::new());
        assert!(refused.is_err());
    }
}

/// A call that is larger than the pace counts gives back no more than was counted.
#[tokio::test(start_paused = true)]
async fn a_huge_call_gives_back_nothing_of_others() {
    let limiter = Limiter::new(LimitTable::new()).unwrap();
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
    advance(Duration::from_secs(60)).await;
    let read = || limiter.snapshot(&target()).unwrap().tokens_per_minute;
    let huge = Demand::new(500).with_max_output_tokens(u64::MAX);
    let mut reserved = limiter
        .try_reserve(&target(), &huge, &Context::new())
        .unwrap();
    reserved.sent();
    assert_eq!(Some(read().used), read().effective);
    let usage = TokenUsage {
        input: 500,
        output: 500,
        ..TokenUsage::default()
    };
    reserved.complete(&Completion::complete(Some(usage)));
    assert_eq!(read().used, 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_for_the_day_holds_the_region_for_a_while() {
    let limiter = declared();
    let demand = Demand::new(1).with_max_output_tokens(1);
    let other = Target::parse("us-east-1", "us.acme.large-1").unwrap();
    let elsewhere = Target::parse("us-west-2", "acme.small-1").unwrap();
    let context = Context::new();
    let before = send(&limiter);
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    for target in [target(), other.clone()] {
        let refused = limiter.try_reserve(&target, &demand, &context).unwrap_err();
        assert_eq!(refused.limit, Limit::TokensPerDay);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(300)));
        let wait = limiter.time_to_serve(&target, &demand, &context);
        assert_eq!(wait, Duration::from_secs(300));
    }
    drop(limiter.try_reserve(&elsewhere, &demand, &context).unwrap());
    // One that was sent before it tells nothing new, whether throttled or answered.
    before.fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    advance(Duration::from_secs(300)).await;
    // If the next one is throttled too, the hold is twice as long.
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    let refused = limiter.try_reserve(&other, &demand, &context).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(600)));
    advance(Duration::from_secs(600)).await;
    send(&limiter).complete(&Completion::complete(Some(TokenUsage::default())));
    send(&limiter).fail(
        &Fault::new(FaultKind::ThrottledTokensPerDay).with_retry_after(Duration::from_secs(7)),
    );
    let refused = limiter.try_reserve(&other, &demand, &context).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn after_a_throttle_for_the_day_one_call_at_a_time_finds_out() {
    let limiter = declared();
    let demand = Demand::new(1).with_max_output_tokens(1);
    let wait = || limiter.time_to_serve(&target(), &demand, &Context::new());
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    advance(Duration::from_secs(300)).await;
    let first = send(&limiter);
    assert_eq!(wait(), Duration::from_secs(10));
    // Whatever becomes of the first, somebody asks after a while.
    drop(first);
    advance(Duration::from_secs(10)).await;
    let second = send(&limiter);
    assert_eq!(wait(), Duration::from_secs(10));
    second.complete(&Completion::complete(Some(TokenUsage::default())));
    assert_eq!(wait(), Duration::ZERO);
}

/// A service that throttles everything, be it for seconds or minutes, teaches nothing lasting about the limit.
#[test]
fn a_storm_of_throttles_is_soon_forgotten() {
    use FaultKind::{ThrottledRequests, ThrottledTokens};
    for (kind, seconds, processes) in [
        (ThrottledRequests, 20, 1),
        (ThrottledRequests, 60, 10),
        (ThrottledRequests, 300, 1),
        (ThrottledTokens, 300, 1),
    ] {
        run(async {
            let service = Service::new(10.0);
            let limits = LimitTable::new();
            let _limiters = start_throttled(processes, &limits, &service, kind, 5);
            sleep(Duration::from_secs(300)).await;
            service.per_second.set(0.0);
            sleep(Duration::from_secs(seconds)).await;
            service.per_second.set(10.0);
            sleep(Duration::from_secs(180)).await;
            let from = Instant::now();
            sleep(Duration::from_secs(60)).await;
            let (served, throttled) = service.rates(from, Instant::now());
            assert!(served > 9.0, "{kind:?} {seconds} s: {served}");
            assert!(throttled < 0.05, "{kind:?} {seconds} s: {throttled}");
        });
    }
}
