//! Those who wait, in paused time: who goes next, who gives up, and that nobody is forgotten.

#![allow(clippy::unwrap_used)]

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

#[tokio::test(start_paused = true)]
async fn a_large_call_at_the_head_is_not_starved_by_small_ones() {
    let limiter = builder(bucket(600)).build().unwrap();
    let _all = take_all(&limiter, 600);
    // It needs fifty seconds of refill. Ten a second's worth of small ones come after it.
    let large = wait(&limiter, tokens(500), Context::new()).await;
    let mut small = Vec::new();
    for _ in 0..10 {
        small.push(wait(&limiter, tokens(10), Context::new()).await);
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(waited(large).await, 50);
    // When it has gone the refill is theirs: ten tokens a second, one call a second.
    for small in small {
        assert_eq!(waited(small).await, 51);
    }
}

#[tokio::test(start_paused = true)]
async fn small_calls_do_not_wait_behind_an_impossible_one() {
    let limiter = builder(bucket(600)).build().unwrap();
    let _all = take_all(&limiter, 600);
    let large = wait(&limiter, tokens(500), Context::new()).await;
    let small = wait(&limiter, tokens(10), Context::new()).await;
    // The limit is lowered, and the one at the head will never fit.
    limiter.set_limits(table(bucket(300))).unwrap();
    let refused = large.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::TooLarge);
    assert_eq!(refused.limit, Limit::TokensPerMinute);
    // 600 in use and 10 more, down to 300, at five a second.
    assert_eq!(waited(small).await, 62);
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_through_at_once_who_waits() {
    let limiter = builder(bucket(600)).build().unwrap();
    let _all = take_all(&limiter, 600);
    let waits = wait(&limiter, tokens(300), Context::new()).await;
    advance(Duration::from_secs(3)).await;
    limiter.set_limits(table(bucket(10_000))).unwrap();
    assert_eq!(waited(waits).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_costs_less_lets_others_through_at_once() {
    let limiter = builder(Limits::new().with_tokens_per_minute(1_000))
        .build()
        .unwrap();
    let all = take_all(&limiter, 1_000);
    let waits = wait(&limiter, tokens(600), Context::new()).await;
    advance(Duration::from_secs(4)).await;
    let usage = TokenUsage {
        input: 400,
        ..TokenUsage::default()
    };
    all.complete(&Completion::complete(Some(usage)));
    assert_eq!(waited(waits).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_debt_and_room_given_back_at_one_moment_let_the_next_call_through() {
    for window in [Window::Sliding, Window::Fixed, Window::Bucket] {
        let limits = Limits::new()
            .with_tokens_per_minute(1_000)
            .with_window(window);
        let limiter = builder(limits).build().unwrap();
        let dear = take_all(&limiter, 500);
        let cheap = take_all(&limiter, 500);
        let waits = wait(&limiter, tokens(100), Context::new()).await;
        dear.complete(&used(700));
        cheap.complete(&used(100));
        assert_eq!(waited(waits).await, 0, "{window:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_for_nothing_waits_no_worse_than_others() {
    for window in [Window::Sliding, Window::Fixed, Window::Bucket] {
        let limits = |tokens| {
            Limits::new()
                .with_tokens_per_minute(tokens)
                .with_window(window)
        };
        let limiter = builder(limits(1_000)).build().unwrap();
        let _all = take_all(&limiter, 1_000);
        limiter.set_limits(table(limits(500))).unwrap();
        // More is used than there is now, so not even nothing fits.
        let nothing = wait(&limiter, tokens(0), Context::new()).await;
        assert_eq!(waited(nothing).await, 60, "{window:?}");
    }
}

fn within(time: Duration) -> Context {
    Context::new().with_deadline(Instant::now() + time)
}

#[tokio::test(start_paused = true)]
async fn a_wait_leaves_the_time_that_an_attempt_is_said_to_need() {
    let limiter = builder(bucket(600))
        .min_attempt_time(Duration::from_secs(5))
        .build()
        .unwrap();
    let all = take_all(&limiter, 600);
    // There is room for it in ten seconds, and then four are left.
    let refused = wait(&limiter, tokens(100), within(Duration::from_secs(14))).await;
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::WaitTooLong);
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(10)));
    let waits = wait(&limiter, tokens(100), within(Duration::from_secs(15))).await;
    assert_eq!(waited(waits).await, 10);
    // One that waits for longer than was forecast gives up in time.
    let start = Instant::now();
    let waits = wait(&limiter, tokens(100), within(Duration::from_secs(16))).await;
    all.complete(&used(10_000));
    let refused = waits.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::WaitTooLong);
    assert_eq!(start.elapsed(), Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_wait_leaves_the_time_that_answers_take() {
    let limiter = builder(bucket(600)).build().unwrap();
    let try_for = |time| limiter.try_reserve(&target(), &tokens(60), &within(time));
    for seconds in [7, 8, 6, 7, 60, 7, 1, 7].repeat(8) {
        let mut reserved = try_for(MINUTE).unwrap();
        reserved.sent();
        advance(Duration::from_secs(seconds)).await;
        reserved.complete(&used(60));
    }
    advance(MINUTE).await;
    let _all = take_all(&limiter, 600);
    // Six seconds for room, seven and a few for an answer.
    let refused = wait(&limiter, tokens(60), within(Duration::from_secs(13))).await;
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::WaitTooLong);
    let waits = wait(&limiter, tokens(60), within(Duration::from_secs(20))).await;
    assert_eq!(waited(waits).await, 6);
    // With room at once, it is the caller's to try.
    advance(MINUTE).await;
    try_for(Duration::from_secs(2)).unwrap().refund();
}

/// A stream is answered when it begins, however long it runs.
#[tokio::test(start_paused = true)]
async fn a_wait_for_a_stream_leaves_the_time_until_it_begins() {
    let limiter = builder(bucket(600)).build().unwrap();
    for _ in 0..20 {
        let context = within(MINUTE).with_streaming(true);
        let mut reserved = limiter.try_reserve(&target(), &tokens(60), &context);
        reserved.as_mut().unwrap().sent();
        advance(MINUTE).await;
        let mut completion = used(60);
        completion.time_to_first_token = Some(Duration::from_secs(7));
        reserved.unwrap().complete(&completion);
    }
    let _all = take_all(&limiter, 600);
    // Six seconds for room, seven until a stream begins.
    let context = |seconds| within(Duration::from_secs(seconds)).with_streaming(true);
    let refused = wait(&limiter, tokens(60), context(12)).await;
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::WaitTooLong);
    let waits = wait(&limiter, tokens(60), context(15)).await;
    assert_eq!(waited(waits).await, 6);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_that_cannot_end_before_its_deadline() {
    let limiter = builder(bucket(600)).build().unwrap();
    let try_for = |limiter: &Limiter, time| {
        limiter
            .try_reserve(&target(), &tokens(1), &within(time))
            .map(Reservation::refund)
            .map_err(|refused| refused.reason)
    };
    let second = Duration::from_secs(1);
    let late = Err(Reason::NoTimeLeft);
    assert_eq!(try_for(&limiter, Duration::ZERO), late);
    assert_eq!(try_for(&limiter, Duration::from_nanos(1)), Ok(()));
    let limiter = builder(bucket(600)).min_attempt_time(second).build();
    let limiter = limiter.unwrap();
    assert_eq!(try_for(&limiter, second - Duration::from_nanos(1)), late);
    assert_eq!(try_for(&limiter, second), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_longer_than_forecast_is_refused_when_its_time_is_up() {
    let limiter = Limiter::builder()
        .limits(table(Limits::new().with_tokens_per_minute(1_000)))
        .max_wait(MINUTE)
        .build()
        .unwrap();
    let all = take_all(&limiter, 1_000);
    advance(Duration::from_secs(5)).await;
    let waits = wait(&limiter, tokens(1_000), Context::new()).await;
    // It will have cost three times as much, so there are two more windows to be worked off.
    let usage = TokenUsage {
        input: 3_000,
        ..TokenUsage::default()
    };
    all.complete(&Completion::complete(Some(usage)));
    let start = Instant::now();
    let refused = waits.await.unwrap().unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(refused.reason, Reason::WaitTooLong);
    assert!(refused.retry_after().unwrap() > MINUTE, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_a_flood_cannot_fill_it() {
    let limiter = builder(Limits::new().with_requests_per_minute(1))
        .max_waiting(3)
        .build()
        .unwrap();
    let _all = take_all(&limiter, 1);
    let of = |tenant: &str| Context::new().with_tenant(tenant);
    let mut flood = Vec::new();
    for _ in 0..3 {
        flood.push(wait(&limiter, tokens(1), of("flood")).await);
    }
    // Full: the flood gets no more in ...
    let refused = wait(&limiter, tokens(1), of("flood")).await;
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::TooManyWaiting);
    assert!(refused.retry_after().is_some());
    // ... another tenant does, in the place of the flood's newest ...
    let calm = wait(&limiter, tokens(1), of("calm")).await;
    let gave_way = flood.pop().unwrap().await.unwrap().unwrap_err();
    assert_eq!(gave_way.reason, Reason::TooManyWaiting);
    // ... and another class has places of its own.
    let urgent = of("flood").with_priority(Priority::Interactive);
    let urgent = wait(&limiter, tokens(1), urgent).await;
    let snapshot = limiter.snapshot(&target()).unwrap();
    assert_eq!(snapshot.waiting, [1, 3, 0]);
    assert_eq!(waited(urgent).await, 60);
    // The flood's first came before it; its second comes after.
    assert_eq!(waited(flood.remove(0)).await, 120);
    assert_eq!(waited(calm).await, 180);
    assert_eq!(waited(flood.remove(0)).await, 240);
}

/// Bedrock hears of a call later than the limiter, and of the next one perhaps sooner.
#[tokio::test(start_paused = true)]
async fn a_use_counts_for_longer_by_as_much_as_calls_may_be_late() {
    let limits = || table(Limits::new().with_tokens_per_minute(100));
    for (builder, millis) in [
        (Limiter::builder(), 60_250),
        (
            Limiter::builder().delay_variation(Duration::from_secs(1)),
            61_000,
        ),
        (Limiter::builder().delay_variation(Duration::ZERO), 60_000),
    ] {
        let limiter = builder.limits(limits()).build().unwrap();
        drop(take_all(&limiter, 100));
        let asked = Instant::now();
        let context = Context::new();
        limiter
            .reserve(&target(), &tokens(100), &context)
            .await
            .unwrap()
            .sent();
        assert_eq!(asked.elapsed(), Duration::from_millis(millis));
    }
}

#[tokio::test(start_paused = true)]
async fn forecasts_come_true() {
    // Each of these waits as long as was forecast when it came, and headroom says the same.
    let limiter = builder(bucket(6_000)).build().unwrap();
    let _all = take_all(&limiter, 6_000);
    let mut tasks = Vec::new();
    for i in 0..20_u64 {
        let demand = tokens(100 + 37 * i);
        let forecast = limiter.time_to_serve(&target(), &demand, &Context::new());
        tasks.push((forecast, wait(&limiter, demand, Context::new()).await));
        sleep(Duration::from_millis(300)).await;
    }
    for (forecast, task) in tasks {
        let (_reserved, waited) = task.await.unwrap().unwrap();
        let off = waited.abs_diff(forecast);
        assert!(off <= Duration::from_millis(2), "{forecast:?} {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_calls_in_flight_give_back_comes_when_they_end() {
    let limits = Limits::new()
        .with_tokens_per_minute(120_000)
        .with_window(Window::Sliding);
    let limiter = builder(limits).build().unwrap();
    // Ten at a time, one after the other; each lasts 40 s and costs a fifth of what it reserves.
    let call = || {
        let limiter = limiter.clone();
        async move {
            let demand = Demand::new(1_000).with_max_output_tokens(9_000);
            let (target, context) = (target(), Context::new());
            let reserving = limiter.reserve(&target, &demand, &context);
            let mut reserved = reserving.await.unwrap();
            reserved.sent();
            sleep(Duration::from_secs(40)).await;
            reserved.complete(&Completion::complete(Some(TokenUsage {
                input: 1_000,
                output: 1_000,
                ..TokenUsage::default()
            })));
        }
    };
    for _ in 0..60 {
        tokio::spawn(call());
        sleep(Duration::from_secs(4)).await;
    }
    let forecast = |amount| limiter.time_to_serve(&target(), &tokens(amount), &Context::new());
    let mut before = Duration::ZERO;
    for amount in [30_000, 50_000, 70_000] {
        let (soon, full) = (
            forecast(amount),
            wait(&limiter, tokens(amount), Context::new()).await,
        );
        assert!(before < soon, "{before:?} {soon:?}");
        before = soon;
        let (reserved, waited) = full.await.unwrap().unwrap();
        let off = waited.abs_diff(soon);
        // Not counted is what leaves the window meanwhile.
        assert!(
            off <= Duration::from_secs(10),
            "{amount}: {soon:?} {waited:?}"
        );
        reserved.refund();
        for _ in 0..20 {
            tokio::spawn(call());
            sleep(Duration::from_secs(4)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn headroom_is_nothing_forever_or_a_forecast_and_reserves_nothing() {
    let limiter = builder(bucket(600)).build().unwrap();
    let wait = |amount| limiter.time_to_serve(&target(), &tokens(amount), &Context::new());
    assert_eq!(wait(600), Duration::ZERO);
    assert_eq!(wait(601), Duration::MAX);
    assert!(limiter.snapshot(&target()).is_none());
    let _all = take_all(&limiter, 600);
    assert_eq!(wait(60), Duration::from_secs(6));
    assert_eq!(wait(601), Duration::MAX);
    assert_eq!(
        limiter.snapshot(&target()).unwrap().tokens_per_minute.used,
        600
    );
}

#[tokio::test(start_paused = true)]
async fn tenants_are_served_alike_while_both_wait() {
    let limiter = builder(bucket(60_000))
        .tenant_weight("gold", 3)
        .max_waiting(10_000)
        .build()
        .unwrap();
    let _all = take_all(&limiter, 60_000);
    let served = Arc::new(Mutex::new(BTreeMap::<&str, u64>::new()));
    // One floods from the start with small calls, one has few at a time, one of weight three has large ones.
    let mut tasks = Vec::new();
    for (tenant, workers, amount) in [("flood", 200, 50), ("calm", 4, 500), ("gold", 20, 1_000)] {
        for _ in 0..workers {
            let (limiter, served) = (limiter.clone(), Arc::clone(&served));
            tasks.push(tokio::spawn(async move {
                let context = Context::new().with_tenant(tenant);
                loop {
                    let mut reserved = limiter
                        .reserve(&target(), &tokens(amount), &context)
                        .await
                        .unwrap();
                    reserved.sent();
                    *served.lock().unwrap().entry(tenant).or_default() += amount;
                    sleep(Duration::from_millis(5)).await;
                }
            }));
        }
    }
    sleep(MINUTE * 10).await;
    for task in tasks {
        task.abort();
    }
    let served = served.lock().unwrap();
    let (flood, calm, gold) = (served["flood"], served["calm"], served["gold"]);
    let total = (flood + calm + gold) as f64;
    assert!(total > 595_000.0, "{total}");
    for (got, share) in [(flood, 0.2), (calm, 0.2), (gold, 0.6)] {
        assert!((got as f64 / total - share).abs() < 0.01, "{served:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_forgotten_whoever_gives_up() {
    // Calls of several tenants and classes, many of which are dropped at some moment of their wait.
    let limits = Limits::new()
        .with_requests_per_minute(100)
        .with_tokens_per_minute(2_000);
    let limiter = builder(limits).max_waiting(10_000).build().unwrap();
    let mut random = 1_u64;
    let mut draw = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut tasks = Vec::new();
    for call in 0..2_000_u64 {
        let limiter = limiter.clone();
        let context = Context::new()
            .with_tenant(format!("tenant-{}", draw(5)))
            .with_priority(Priority::ALL[draw(3) as usize]);
        let (demand, cost) = (tokens(1 + draw(60)), draw(90));
        let starts = Duration::from_millis(draw(600_000));
        let gives_up = (call % 3 == 0).then(|| Duration::from_millis(draw(120_000)));
        let keeps = Duration::from_millis(draw(5_000));
        tasks.push(tokio::spawn(async move {
            sleep(starts).await;
            let target = target();
            let reserve = limiter.reserve(&target, &demand, &context);
            let reserved = match gives_up {
                Some(after) => timeout(after, reserve).await.ok(),
                None => Some(reserve.await),
            };
            if let Some(reserved) = reserved {
                let mut reserved = reserved.unwrap();
                reserved.sent();
                sleep(keeps).await;
                let usage = TokenUsage {
                    input: cost,
                    ..TokenUsage::default()
                };
                reserved.complete(&Completion::complete(Some(usage)));
            }
        }));
    }
    let all = async {
        for task in tasks {
            task.await.unwrap();
        }
    };
    timeout(DAY, all).await.expect("somebody was forgotten");
    let snapshot = limiter.snapshot(&target()).unwrap();
    assert_eq!(snapshot.waiting, [0, 0, 0]);
    assert_eq!(
        (snapshot.calls_in_flight, snapshot.tokens_in_flight),
        (0, 0)
    );
    advance(MINUTE * 60).await;
    let snapshot = limiter.snapshot(&target()).unwrap();
    assert_eq!(snapshot.tokens_per_minute.used, 0);
    assert_eq!(snapshot.requests_per_minute.used, 0);
}

#[tokio::test(start_paused = true)]
async fn waking_is_not_thundering() {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context as TaskContext, Wake, Waker},
    };
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let limiter = builder(Limits::new().with_requests_per_minute(1))
        .build()
        .unwrap();
    let all = take_all(&limiter, 1);
    let context = Context::new();
    let demand = tokens(1);
    let aim = target();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = TaskContext::from_waker(&waker);
    let mut waiting: Vec<_> = (0..1_000)
        .map(|_| Box::pin(limiter.reserve(&aim, &demand, &context)))
        .collect();
    for call in &mut waiting {
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    // One is let through, and one more is woken to keep the timer.
    all.refund();
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    // Dropping those who wait wakes nobody but a new keeper of the timer.
    waiting.truncate(10);
    assert!(count.0.load(Ordering::Relaxed) <= 3);
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded_whatever_clients_name() {
    let limits = LimitTable::new().with(
        QuotaPattern::model("acme.*"),
        Limits::new().with_requests_per_minute(5),
    );
    let limiter = Limiter::builder()
        .limits(limits)
        .max_keys(10)
        .build()
        .unwrap();
    let context = Context::new();
    let reserve = |model: &str| {
        let target = Target::parse("us-east-1", model).unwrap();
        limiter.try_reserve(&target, &tokens(1), &context)
    };
    // Invented models that Bedrock refuses leave nothing behind.
    for i in 0..1_000 {
        advance(Duration::from_millis(200)).await;
        let mut reserved = reserve(&format!("acme.invented-{i}")).unwrap();
        reserved.sent();
        reserved.refund();
    }
    assert!(limiter.snapshots().len() <= 10);
    // However fast they come, there is room for another.
    for i in 0..100 {
        drop(reserve(&format!("acme.quick-{i}")).unwrap());
    }
    assert!(limiter.snapshots().len() <= 10);
    // Ten that are in use stay, whatever else is named.
    advance(MINUTE).await;
    let held: Vec<_> = (0..10)
        .map(|i| reserve(&format!("acme.used-{i}")).unwrap())
        .collect();
    advance(Duration::from_secs(2)).await;
    let refused = reserve("acme.another-1").unwrap_err();
    assert_eq!(refused.reason, Reason::TooManyKeys);
    // One without limits is none of the limiter's business.
    assert_eq!(reserve("other.model-1").unwrap().tokens(), 0);
    assert_eq!(limiter.snapshots().len(), 10);
    drop(held);
    advance(Duration::from_secs(2)).await;
    drop(reserve("acme.another-1").unwrap());
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_range_are_named() {
    let cases = [
        (
            builder(Limits::new().with_tokens_per_minute(0)),
            "tokens_per_minute is 0: expected 1 to 1000000000000",
        ),
        (
            builder(Limits::new().with_requests_per_minute(u64::MAX)),
            "requests_per_minute is 18446744073709551615: expected 1 to 1000000000000",
        ),
        (
            Limiter::builder().limits(LimitTable::new().with_tokens_per_day("*", 0)),
            "tokens_per_day is 0: expected 1 to 1000000000000",
        ),
        (
            Limiter::builder().max_wait(DAY * 2),
            "max_wait is 172800: expected 0 to 86400",
        ),
        (
            Limiter::builder().delay_variation(DAY),
            "delay_variation is 86400: expected 0 to 10",
        ),
        (
            Limiter::builder().min_attempt_time(DAY * 2),
            "min_attempt_time is 172800: expected 0 to 86400",
        ),
        (
            Limiter::builder().max_waiting(0),
            "max_waiting is 0: expected 1 to 10000000",
        ),
        (
            Limiter::builder().max_keys(0),
            "max_keys is 0: expected 1 to 10000000",
        ),
        (
            Limiter::builder().tenant_weight("a", 0),
            "tenant_weight is 0: expected 1 to 1000",
        ),
        (
            Limiter::builder().estimate_quantile(f64::NAN),
            "estimate_quantile is NaN: expected 0.5 to 0.999",
        ),
    ];
    for (builder, expected) in cases {
        assert_eq!(builder.build().unwrap_err().to_string(), expected);
    }
    let limiter = builder(bucket(600)).build().unwrap();
    limiter.set_limits(table(bucket(0))).unwrap_err();
    assert_eq!(
        limiter.time_to_serve(&target(), &tokens(600), &Context::new()),
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_when_its_timer_rings_although_the_clock_was_read_before() {
    let limiter = builder(bucket(60)).build().unwrap();
    let _first = take_all(&limiter, 60);
    let (target, demand, context) = (target(), tokens(1), Context::new());
    let mut call = pin!(limiter.reserve(&target, &demand, &context));
    let mut cx = TaskContext::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    // In one poll: somebody further out reads the clock, and time goes by until this call is asked.
    let _shared = clock::share();
    let read = clock::now();
    advance(Duration::from_secs(2)).await;
    assert_eq!(clock::now(), read);
    let Poll::Ready(reserved) = call.as_mut().poll(&mut cx) else {
        panic!("it waits on");
    };
    reserved.unwrap().refund();
}
