//! Who goes next, and when.

use super::*;

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

/// A call that goes first as it joins those who wait counts from when it is sent, like any other.
#[tokio::test(start_paused = true)]
async fn a_call_that_goes_first_counts_from_its_start() {
    let limits = Limits::new().with_tokens_per_minute(1_000);
    let limiter = builder(limits).build().unwrap();
    let _half = take_all(&limiter, 500);
    let batch = Context::new().with_priority(Priority::Batch);
    let waits = wait(&limiter, tokens(900), batch).await;
    let urgent = Context::new().with_priority(Priority::Interactive);
    let mut first = limiter
        .try_reserve(&target(), &tokens(100), &urgent)
        .unwrap();
    first.sent();
    waits.abort();
    advance(Duration::from_secs(50)).await;
    first.complete(&used(100));
    let used = || limiter.snapshot(&target()).unwrap().tokens_per_minute.used;
    assert_eq!(used(), 600);
    // Both a minute after they were sent.
    advance(Duration::from_secs(11)).await;
    assert_eq!(used(), 0);
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
