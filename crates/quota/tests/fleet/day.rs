//! Tokens a day, which all processes of a Region share.

use super::*;

const DAILY: u64 = 2_000_000;

/// Four processes that would use the day's tokens up within hours.
fn day() -> World {
    let table = table(limits(LIMIT)).with_tokens_per_day("*", DAILY);
    World::with_table(DAILY, DAY, table)
}

impl World {
    fn total(&self) -> u64 {
        self.service.used(self.start, Instant::now(), |_| true)
    }

    fn daily(&self, process: usize) -> u64 {
        self.service
            .used(self.start, Instant::now(), |by| by == process)
    }

    async fn hours(&self, hours: u32) {
        self.until(60 * hours).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_uses_the_day_and_no_more() {
    for processes in [1, 4, 16] {
        let mut world = day();
        for _ in 0..processes {
            world.start(4, 1_500);
        }
        world.hours(1).await;
        world.check();
        let used = world.total();
        assert!(used >= DAILY * 98 / 100, "{processes}: {used}");
        for process in 0..processes {
            let part = world.daily(process) as f64 * processes as f64 / used as f64;
            assert!((0.7..1.4).contains(&part), "{process}: {part}");
        }
        let trips = world.store.round_trips();
        assert!(trips < 2_500 * processes as u64, "{processes}: {trips}");
    }
}

/// What was used leaves the window a day later, and is used once more.
#[tokio::test(start_paused = true)]
async fn a_day_slides() {
    let mut world = day();
    for _ in 0..2 {
        world.start(1, 20_000);
    }
    world.hours(50).await;
    world.check();
    let used = world.total();
    assert!(used >= DAILY * 29 / 10, "{used}");
}

#[tokio::test(start_paused = true)]
async fn whom_the_day_has_no_room_for_is_told_when_it_will() {
    let mut world = day();
    world.start(3, 1_500);
    world.start(3, 1_500);
    world.hours(3).await;
    let (target, demand, context) = (target(), Demand::new(1_500), Context::new());
    let demand = demand.with_max_output_tokens(0);
    let limiter = &world.processes[0].limiter;
    let refused = limiter.try_reserve(&target, &demand, &context).unwrap_err();
    assert_eq!(refused.limit, Limit::TokensPerDay);
    // What was used first was used three hours ago, in the first quarter of an hour.
    let again = refused.retry_after().unwrap();
    let hours = 20 * 60 * MINUTE..=22 * 60 * MINUTE;
    assert!(hours.contains(&again), "{again:?}");
}

/// Who waits already when the day is used up does not wait in vain.
#[tokio::test(start_paused = true)]
async fn who_waits_when_the_day_is_used_up_is_told_at_once() {
    let mut world = day();
    world.start(0, 0);
    world.start(3, 1_500);
    world.hours(1).await;
    // It has not asked for an hour, and knows nothing of it.
    let (target, demand, context) = (target(), Demand::new(1_500), Context::new());
    let demand = demand.with_max_output_tokens(0);
    let before = Instant::now();
    let limiter = &world.processes[0].limiter;
    let refused = limiter.reserve(&target, &demand, &context).await;
    assert_eq!(refused.unwrap_err().limit, Limit::TokensPerDay);
    assert!(before.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn of_a_killed_process_no_more_than_a_slice_is_lost() {
    let mut world = day();
    for _ in 0..4 {
        world.start(4, 1_500);
    }
    world.until(5).await;
    world.kill(1).await;
    let killed = world.daily(1);
    assert!(killed > 0);
    world.hours(1).await;
    world.check();
    let used = world.total();
    // A minute of what it used.
    assert!(used >= DAILY - LIMIT / 4 - 20_000, "{used}");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_gives_the_rest_of_its_slice_back() {
    let mut world = day();
    world.start(4, 1_500);
    world.until(5).await;
    world.kill_callers(0).await;
    world.processes[0].stop.notify_one();
    world.until(6).await;
    world.start(4, 1_500);
    world.hours(1).await;
    world.check();
    let used = world.total();
    assert!(used > DAILY - 6_000, "{used}");
}

/// Each goes on with its part of what was left, and all of it is told when the store is back.
#[tokio::test(start_paused = true)]
async fn without_a_store_each_keeps_to_its_part_of_what_was_left() {
    let mut world = day();
    // One has used far more than the others.
    world.start(8, 1_500);
    for _ in 0..3 {
        world.start(1, 50);
    }
    let cut = |world: &World, cut| {
        for process in &world.processes {
            process.cut.store(cut, Relaxed);
        }
    };
    world.until(10).await;
    let before = world.total();
    assert!((DAILY / 3..DAILY).contains(&before), "{before}");
    cut(&world, true);
    world.hours(1).await;
    world.check();
    let busy = world.daily(0);
    assert!(world.total() - before > (DAILY - before) / 4, "{busy}");
    cut(&world, false);
    world.hours(2).await;
    world.check();
    let used = world.total();
    assert!(used >= DAILY * 97 / 100, "{used}");
}

/// Nobody knows what is left: each has its part of the whole.
#[tokio::test(start_paused = true)]
async fn without_a_store_from_the_beginning_the_day_is_divided() {
    let mut world = day();
    for _ in 0..4 {
        world.start(4, 1_500);
        world.processes.last().unwrap().cut.store(true, Relaxed);
    }
    world.hours(1).await;
    world.check();
    for process in 0..4 {
        let used = world.daily(process);
        assert!((490_000..=500_000).contains(&used), "{used}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_the_day_is_told_of_it() {
    let mut world = day();
    for _ in 0..4 {
        world.start(4, 1_500);
    }
    for minute in [3, 7, 8, 20] {
        world.until(minute).await;
        world.store.flush();
    }
    world.hours(1).await;
    world.check();
    let used = world.total();
    assert!(used >= DAILY * 95 / 100, "{used}");
}

/// A call that needs most of what is left goes before those that came later.
#[tokio::test(start_paused = true)]
async fn a_large_call_has_its_turn() {
    let mut world = day();
    for _ in 0..3 {
        world.start(4, 1_500);
    }
    world.until(12).await;
    let left = DAILY - world.total();
    let limiter = world.processes[0].limiter.clone();
    assert!(left > LIMIT, "{left}");
    let large = call(&limiter, LIMIT / 3, 0, &world.service);
    let large = tokio::time::timeout(3 * MINUTE, large).await;
    assert_eq!(large, Ok(Ok(())));
    world.check();
}

/// So does one that does not wait but comes back when it was told to, where what is left is many times what it needs, and
/// too little for each member to have as much of it.
#[tokio::test(start_paused = true)]
async fn a_large_call_that_may_not_wait_has_its_turn_as_well() {
    let table = table(limits(100 * LIMIT)).with_tokens_per_day("*", DAILY);
    let mut world = World::with_table(DAILY, DAY, table);
    for _ in 0..16 {
        world.start(0, 0);
    }
    for process in &world.processes {
        call(&process.limiter, 100, 0, &world.service)
            .await
            .unwrap();
    }
    let limiter = &world.processes[0].limiter;
    let demand = Demand::new(DAILY / 20).with_max_output_tokens(0);
    let (target, context) = (target(), Context::new());
    let mut tries = 0;
    let reserved = loop {
        tries += 1;
        assert!(tries < 5, "turned away {tries} times");
        match limiter.try_reserve(&target, &demand, &context) {
            Ok(reserved) => break reserved,
            Err(refused) => {
                assert_eq!(refused.limit, Limit::TokensPerDay);
                let again = refused.retry_after().unwrap();
                assert!(again <= Duration::from_secs(2), "{again:?}");
                sleep(again).await;
            }
        }
    };
    reserved.refund();
}

/// One throttle for tokens a day holds the calls of all, and one call finds out for all that it is over.
#[tokio::test(start_paused = true)]
async fn what_a_throttle_for_the_day_teaches_is_shared() {
    let mut world = day();
    for _ in 0..3 {
        world.start(0, 0);
    }
    let (target, context) = (target(), Context::new());
    let demand = Demand::new(100).with_max_output_tokens(0);
    let reserve = |process: usize| {
        let limiter = world.processes[process].limiter.clone();
        let (target, demand, context) = (target.clone(), demand, context.clone());
        async move { limiter.reserve(&target, &demand, &context).await }
    };
    for process in 0..3 {
        let mut reservation = reserve(process).await.unwrap();
        reservation.sent();
        if process > 0 {
            reservation.fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
        } else {
            reservation.refund();
        }
    }
    sleep(Duration::from_secs(30)).await;
    for process in 0..3 {
        let refused = reserve(process).await.unwrap_err();
        assert_eq!(refused.limit, Limit::TokensPerDay);
        let again = refused.retry_after().unwrap();
        let about = Duration::from_secs(260)..=Duration::from_secs(300);
        assert!(about.contains(&again), "{process}: {again:?}");
    }
    sleep(Duration::from_secs(275)).await;
    // All ask, and one goes.
    let mut asking = JoinSet::new();
    for process in 0..3 {
        asking.spawn(reserve(process));
    }
    let mut probe = asking.join_next().await.unwrap().unwrap().unwrap();
    let next = tokio::time::timeout(Duration::from_secs(8), asking.join_next()).await;
    assert!(next.is_err(), "{next:?}");
    probe.sent();
    let usage = TokenUsage {
        input: 100,
        ..TokenUsage::default()
    };
    probe.complete(&Completion::complete(Some(usage)));
    for _ in 0..2 {
        let next = tokio::time::timeout(Duration::from_secs(30), asking.join_next()).await;
        next.unwrap().unwrap().unwrap().unwrap().refund();
    }
}

/// What calls reserve and give back is not held as well.
#[tokio::test(start_paused = true)]
async fn a_slice_is_of_what_calls_cost() {
    let mut world = day();
    let limiter = world.start(0, 0).limiter.clone();
    let (target, context) = (target(), Context::new());
    let demand = Demand::new(100).with_max_output_tokens(9_900);
    for _ in 0..600 {
        let reserved = limiter.reserve(&target, &demand, &context).await;
        let mut reservation = reserved.unwrap();
        reservation.sent();
        sleep(Duration::from_millis(500)).await;
        let usage = TokenUsage {
            input: 100,
            ..TokenUsage::default()
        };
        reservation.complete(&Completion::complete(Some(usage)));
    }
    let day = limiter.snapshot(&target).unwrap().tokens_per_day;
    assert_eq!(day.used, 60_000);
    let slice = day.effective.unwrap() - day.used;
    assert!((10_000..50_000).contains(&slice), "{slice}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_fleet_asks_nothing_of_the_day() {
    let mut world = day();
    world.start(2, 1_500);
    world.until(2).await;
    world.kill_callers(0).await;
    world.until(6).await;
    let trips = world.store.round_trips();
    world.hours(5).await;
    assert_eq!(world.store.round_trips(), trips);
    let before = Instant::now();
    call(&world.processes[0].limiter, 150, 0, &world.service)
        .await
        .unwrap();
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_day_that_is_declared_again_is_asked_for_again() {
    let mut world = day();
    let limiter = world.start(2, 1_500).limiter.clone();
    let left = || {
        let day = limiter.snapshot(&target()).unwrap().tokens_per_day;
        day.effective.map(|limit| limit - day.used)
    };
    world.until(2).await;
    assert!((1..DAILY / 8).contains(&left().unwrap()));
    world.kill_callers(0).await;
    limiter.set_limits(table(limits(LIMIT))).unwrap();
    world.until(6).await;
    assert_eq!(left(), None);

    let again = table(limits(LIMIT)).with_tokens_per_day("*", DAILY);
    limiter.set_limits(again).unwrap();
    sleep(MINUTE).await;
    // Nobody calls, so nothing is asked for.
    assert_eq!(left(), Some(0));
    world.start(4, 1_500);
    call(&limiter, 1_500, 0, &world.service).await.unwrap();
    world.hours(2).await;
    world.check();
    assert!(world.total() > DAILY * 98 / 100, "{}", world.total());
}

/// Goes only while a quarter is left to others.
fn batch(limiter: &Limiter, number: usize, service: &Service) -> JoinSet<()> {
    let mut batch = JoinSet::new();
    for _ in 0..4 {
        let (limiter, service) = (limiter.clone(), service.clone());
        batch.spawn(async move {
            let (target, context) = (target(), Context::new());
            let demand = Demand::new(1_500).with_max_output_tokens(0);
            loop {
                let wait = limiter.time_to_serve_leaving(0.25, &target, &demand, &context);
                if wait.is_zero() {
                    call(&limiter, 1_500, number, &service).await.unwrap();
                } else {
                    sleep(Duration::from_secs(1)).await;
                }
            }
        });
    }
    batch
}

/// A batch that goes only while a share of the day is left to others, which is what is left of the whole day.
#[tokio::test(start_paused = true)]
async fn a_share_of_the_day_is_left_to_the_whole_fleet() {
    let mut world = day();
    world.start(1, 100);
    let limiter = world.start(0, 0).limiter.clone();
    let _batch = batch(&limiter, 1, &world.service);
    let mut stopped = (0, 0);
    for minute in 1..30 {
        world.until(minute).await;
        if world.daily(1) > stopped.0 {
            stopped = (world.daily(1), world.total());
        }
    }
    world.check();
    // People use a twentieth of that in a minute, and then what was left.
    let (batch, used) = stopped;
    assert!(batch > DAILY / 5, "{batch}");
    let three_quarters = DAILY * 70 / 100..=DAILY * 79 / 100;
    assert!(three_quarters.contains(&used), "{used}");
    assert!(world.total() > DAILY * 98 / 100, "{}", world.total());
}

/// What the others have then is out of reach, and there may be people here.
#[tokio::test(start_paused = true)]
async fn a_share_of_the_safe_share_is_left_while_the_store_is_silent() {
    for answered in [false, true] {
        let mut world = day();
        let process = world.start(0, 0);
        let (limiter, cut) = (process.limiter.clone(), Arc::clone(&process.cut));
        cut.store(!answered, Relaxed);
        let _batch = batch(&limiter, 0, &world.service);
        world.until(1).await;
        cut.store(true, Relaxed);
        world.hours(2).await;
        world.check();
        let used = world.total() as f64 / (DAILY / 4) as f64;
        assert!((0.7..=0.75).contains(&used), "{answered}: {used}");
    }
}
