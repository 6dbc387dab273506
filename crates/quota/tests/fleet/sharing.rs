//! Who gets how much.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_fleet_uses_the_quota_and_no_more() {
    for processes in [1, 2, 4, 16] {
        let mut world = World::with_limit(600_000);
        for _ in 0..processes {
            world.start(40, 150);
        }
        world.until(8).await;
        world.check();
        let used = world.used(3..8, |_| true);
        assert!(used >= 0.98, "{processes}: {used}");
        let fair = 1.0 / f64::from(processes);
        for process in 0..processes as usize {
            let part = world.used(6..8, |by| by == process) / fair;
            assert!(
                (0.8..1.2).contains(&part),
                "{process} of {processes}: {part}"
            );
        }
        let trips = world.store.round_trips() as f64 / world.service.count() as f64;
        assert!(trips <= 0.02, "{processes}: {trips} round trips a call");
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_little_gets_it_and_the_others_share_the_rest() {
    let mut world = World::new();
    world.start(40, 150);
    world.start(40, 150);
    // One call of 30 every tenth of a second at the most: 18,000 a minute.
    world.start(1, 30);
    world.until(12).await;
    world.check();
    let used = world.used(8..12, |_| true);
    let parts: Vec<f64> = (0..3).map(|n| world.used(8..12, |by| by == n)).collect();
    assert!(used >= 0.98, "{used} {parts:?}");
    let small = world.used(8..12, |by| by == 2);
    assert!(small >= 0.14, "{small}");
    for process in 0..2 {
        let part = world.used(8..12, |by| by == process);
        assert!((0.37..0.48).contains(&part), "{process}: {part}");
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_may_wait_has_what_people_leave() {
    let mut world = World::new();
    world.priority = Priority::Batch;
    world.start(40, 150);
    world.until(3).await;
    assert!(
        world.used(2..3, |by| by == 0) >= 0.95,
        "nobody else is there"
    );
    // First they want a seventh of it, then all, then nothing.
    world.priority = Priority::Normal;
    world.start(1, 30);
    world.until(6).await;
    world.start(40, 150);
    world.until(11).await;
    world.kill_callers(2).await;
    world.until(16).await;
    world.check();
    let of = |minutes: std::ops::Range<u32>| {
        let of = |process| world.used(minutes.clone(), |by| by == process);
        [of(0), of(1), of(2)]
    };
    let [batch, few, _] = of(4..6);
    // A quarter of what they leave is left to them.
    assert!(few >= 0.13 && batch >= 0.6, "{batch} beside {few}");
    let [batch, few, many] = of(9..11);
    assert!(
        batch <= 0.01 && few >= 0.14 && many >= 0.8,
        "{batch} beside {few} and {many}"
    );
    let [batch, few, _] = of(14..16);
    assert!(few >= 0.13 && batch >= 0.6, "{batch} beside {few}");
}

/// What waits now and then, by chance, is no reason to hold much more than is used, nor to ask for it often.
#[tokio::test(start_paused = true)]
async fn who_has_little_to_do_holds_little_more_than_it_uses() {
    let mut world = World::with_limit(6_000_000);
    for process in 0..16 {
        world.start_varied(if process < 8 { 120 } else { 4 });
    }
    world.until(8).await;
    world.check();
    let used = world.used(3..8, |_| true);
    assert!(used >= 0.97, "{used}");
    let trips = world.store.round_trips() as f64 / world.service.count() as f64;
    assert!(trips <= 0.02, "{trips} round trips a call");
}

#[tokio::test(start_paused = true)]
async fn a_large_call_is_not_starved() {
    let mut world = World::new();
    for _ in 0..7 {
        world.start(40, 150);
    }
    // Far more than an eighth of the limit, one after the other.
    world.start(1, LIMIT / 2);
    world.until(20).await;
    world.check();
    let large = world.used(0..20, |by| by == 7) * 20.0 / 0.5;
    assert!(large >= 4.0, "{large} large calls in twenty minutes");
    let others = world.used(0..20, |by| by < 7);
    assert!(others >= 0.4, "{others}");
}

#[tokio::test(start_paused = true)]
async fn large_calls_of_all_processes_take_turns() {
    let mut world = World::new();
    for _ in 0..8 {
        world.start(1, LIMIT / 3);
    }
    world.until(30).await;
    world.check();
    let used = world.used(2..30, |_| true);
    assert!(used >= 0.6, "{used}");
    for process in 0..8 {
        let calls = world.used(2..30, |by| by == process) * 28.0 * 3.0;
        assert!(calls >= 3.0, "{process}: {calls}");
    }
}

/// What a throttle teaches one process all go by, and sixteen throttles at once teach no more than one.
#[tokio::test(start_paused = true)]
async fn what_a_throttle_teaches_is_shared_and_not_multiplied() {
    let mut world = World::new();
    for _ in 0..4 {
        world.start(40, 150);
    }
    world.until(4).await;
    let mut sent = Vec::new();
    for process in &world.processes {
        let demand = Demand::new(1).with_max_output_tokens(0);
        let context = Context::new().with_priority(Priority::Interactive);
        let target = target();
        let reserved = process.limiter.reserve(&target, &demand, &context);
        let mut reservation = reserved.await.unwrap();
        reservation.sent();
        sent.push(reservation);
    }
    for reservation in sent {
        reservation.fail(&Fault::new(FaultKind::ThrottledTokens));
    }
    let whole = |world: &World| -> u64 {
        let level = |process: &Process| {
            let snapshot = process.limiter.snapshot(&target()).unwrap();
            snapshot.tokens_per_minute.effective.unwrap()
        };
        world.processes.iter().map(level).sum()
    };
    sleep(2 * MINUTE).await;
    let after = whole(&world) as f64 / LIMIT as f64;
    assert!((0.93..=0.951).contains(&after), "{after}");
    world.until(20).await;
    let later = whole(&world) as f64 / LIMIT as f64;
    assert!(later > 0.99, "{later}");
    world.check();
}
