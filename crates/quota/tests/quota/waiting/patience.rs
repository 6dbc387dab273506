//! Who waits for how long, and is told beforehand.

use super::*;

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
