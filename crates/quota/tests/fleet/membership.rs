//! Coming and going, and what is shared at all.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_idle_fleet_asks_nothing_and_is_back_at_once() {
    let mut world = World::new();
    world.start(40, 150);
    world.start(0, 0);
    world.until(2).await;
    world.kill_callers(0).await;
    world.until(5).await;
    let trips = world.store.round_trips();
    world.until(60).await;
    assert_eq!(world.store.round_trips(), trips);
    let before = Instant::now();
    call(&world.processes[0].limiter, 150, 0, &world.service)
        .await
        .unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn who_leaves_gives_back_what_it_has() {
    let mut world = World::new();
    world.start(40, 150);
    world.start(40, 150);
    world.until(4).await;
    world.kill_callers(0).await;
    world.processes[0].stop.notify_one();
    world.until(5).await;
    sleep(Duration::from_secs(30)).await;
    world.until(8).await;
    world.check();
    let used = world.used(6..8, |by| by == 1);
    assert!(used >= 0.98, "{used}");
}

/// What was nobody's for a time is not taken before the fleet was asked for it.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_declared_again_is_asked_for_again() {
    let mut world = World::new();
    let process = world.start(1, 150);
    let (limiter, cut) = (process.limiter.clone(), Arc::clone(&process.cut));
    let declare = |limits| {
        let table = LimitTable::new().with(QuotaPattern::any(), limits);
        limiter.set_limits(table).unwrap();
    };
    let share = || {
        let level = limiter.snapshot(&target()).unwrap().tokens_per_minute;
        level.effective
    };
    world.until(2).await;
    world.kill_callers(0).await;
    declare(Limits::new().with_requests_per_minute(100_000));
    world.until(3).await;

    declare(limits(LIMIT));
    sleep(Duration::from_secs(30)).await;
    // Nobody calls, so nothing is asked for.
    assert_eq!(share(), Some(0));
    let called = call(&limiter, 150, 0, &world.service);
    let called = tokio::time::timeout(Duration::from_secs(1), called).await;
    assert_eq!(called, Ok(Ok(())));
    // Alone it is given more than the quarter that would be safe.
    assert!(share() > Some(LIMIT / 4), "{:?}", share());

    declare(Limits::new().with_requests_per_minute(100_000));
    sleep(Duration::from_secs(1)).await;
    cut.store(true, Relaxed);
    declare(limits(LIMIT / 2));
    assert_eq!(share(), Some(0));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(share(), Some(LIMIT / 8));
}

#[tokio::test(start_paused = true)]
async fn a_key_without_a_limit_is_none_of_the_fleets() {
    let store = MemoryStore::new();
    let process = Process::start(&store, 0, table(Limits::new()), 4, Priority::Normal);
    let service = Service::default();
    for _ in 0..10 {
        call(&process.limiter, 150, 0, &service).await.unwrap();
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(store.round_trips(), 0);
    // Until it has one.
    let table = LimitTable::new().with(QuotaPattern::any(), limits(LIMIT));
    process.limiter.set_limits(table).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(store.round_trips(), 1);
}

/// Whoever is called for the first time after the worker has left has nothing, whatever the store would say.
#[tokio::test(start_paused = true)]
async fn who_has_left_takes_no_safe_share() {
    let store = MemoryStore::new();
    let process = Process::start(&store, 0, table(limits(LIMIT)), 4, Priority::Normal);
    process.stop.notify_one();
    process.worker.await.unwrap();
    let (target, demand, context) = (target(), Demand::new(1), Context::new());
    let waiting = process.limiter.reserve(&target, &demand, &context);
    assert!(tokio::time::timeout(MINUTE / 2, waiting).await.is_err());
}

#[test]
fn settings_out_of_range_are_named() {
    let build = |members, timeout| {
        let builder = Fleet::builder(MemoryStore::new());
        builder.members(members).timeout(timeout).build().map(drop)
    };
    let error = build(0, Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.to_string(), "members is 0: expected 1 to 256");
    let error = build(1, Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "timeout is 0: expected 0.1 to 5");
    let error = Fleet::builder(MemoryStore::new())
        .prefix("a{b}")
        .build()
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().starts_with("prefix is"), "{error}");
}

/// Clients name models, so keys come and go.
#[tokio::test(start_paused = true)]
async fn forgotten_keys_do_not_hold_the_worker_up() {
    let (fleet, worker) = Fleet::builder(MemoryStore::default()).build().unwrap();
    let limiter = Limiter::builder()
        .limits(LimitTable::new().with(
            QuotaPattern::any(),
            Limits::new().with_requests_per_minute(100),
        ))
        .max_keys(2)
        .fleet(fleet)
        .build()
        .unwrap();
    let working = tokio::spawn(worker.run());
    for number in 0..100 {
        let target = Target::parse("us-east-1", &format!("acme.model-{number}")).unwrap();
        if let Ok(reserved) = limiter.try_reserve(&target, &Demand::new(1), &Context::new()) {
            reserved.refund();
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!working.is_finished());
    working.abort();
}

/// Of two calls a minute apart the second may be the quicker on its way.
#[tokio::test(start_paused = true)]
async fn what_was_used_counts_a_little_longer_in_a_fleet_too() {
    for (variation, longer) in [(0, 0), (250, 250), (9_000, 500)] {
        let (fleet, worker) = Fleet::builder(MemoryStore::new()).build().unwrap();
        let worker = tokio::spawn(worker.run());
        let table = LimitTable::new().with(QuotaPattern::any(), limits(LIMIT));
        let limiter = Limiter::builder().limits(table).fleet(fleet);
        let limiter = limiter.delay_variation(Duration::from_millis(variation));
        let limiter = limiter.build().unwrap();
        let used = || limiter.snapshots()[0].tokens_per_minute.used;
        call(&limiter, 100, 0, &Service::default()).await.unwrap();
        // The call lasts for a tenth of a second.
        sleep(MINUTE + Duration::from_millis(longer) - Duration::from_millis(101)).await;
        assert_eq!(used(), 100, "{variation}");
        sleep(Duration::from_millis(2)).await;
        assert_eq!(used(), 0, "{variation}");
        worker.abort();
    }
}

/// Whoever goes only when there is room, as a batch does, makes no call that waits for it.
#[tokio::test(start_paused = true)]
async fn who_was_away_and_only_asks_for_room_is_given_some() {
    for daily in [None, Some(20 * LIMIT)] {
        let mut table = table(limits(LIMIT));
        if let Some(daily) = daily {
            table = table.with_tokens_per_day("*", daily);
        }
        let mut world = World::with_table(LIMIT, MINUTE, table);
        world.start(1, 10);
        let limiter = world.start(0, 0).limiter.clone();
        let (target, context) = (target(), Context::new());
        let demand = Demand::new(1_500).with_max_output_tokens(0);
        for minute in [0, 10, 30] {
            world.until(minute).await;
            while Instant::now() < world.start + (minute + 4) * MINUTE {
                let wait = limiter.time_to_serve(&target, &demand, &context);
                if wait.is_zero() {
                    call(&limiter, 1_500, 1, &world.service).await.unwrap();
                } else {
                    sleep(Duration::from_millis(200)).await;
                }
            }
            let used = world.used(minute + 3..minute + 4, |by| by == 1);
            assert!(used > 0.5, "{daily:?}, minute {minute}: {used}");
        }
        world.check();
    }
}
