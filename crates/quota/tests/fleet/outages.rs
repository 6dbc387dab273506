//! Processes that are killed or cut off, and a store that is down or forgets.

use super::*;

/// Keeps what it is told of the store.
struct Told(Arc<Mutex<Vec<&'static str>>>);

impl Observe for Told {
    fn store_found(&self, _: &QuotaKey) {
        self.0.lock().unwrap().push("found");
    }

    fn store_lost(&self, _: &QuotaKey) {
        self.0.lock().unwrap().push("lost");
    }

    fn store_back(&self, _: &QuotaKey, _: Duration) {
        self.0.lock().unwrap().push("back");
    }
}

/// One whose store always says the same.
struct Says(StoreError);

impl Store for Says {
    fn renew<'a>(&'a self, _: &'a str, _: &'a Renewal) -> Answering<'a> {
        Box::pin(async { Err(self.0.clone()) })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_process_had_is_used_by_the_others() {
    let mut world = World::new();
    for _ in 0..4 {
        world.start(40, 150);
    }
    world.until(4).await;
    world.kill(2).await;
    world.until(10).await;
    world.check();
    let used = world.used(8..10, |_| true);
    assert!(used >= 0.98, "{used}");
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_goes_on_with_a_safe_share() {
    let mut world = World::new();
    for _ in 0..4 {
        world.start(40, 150);
    }
    world.until(4).await;
    world.processes[0].cut.store(true, Relaxed);
    sleep(MINUTE).await;
    assert_eq!(world.processes[0].lost.load(Relaxed), 1);
    world.processes[0].cut.store(false, Relaxed);
    world.until(12).await;
    world.check();
    // Told that it was lost once, and once that it is back.
    assert_eq!(world.processes[0].lost.load(Relaxed), 1_001);
    for process in &world.processes[1..] {
        assert_eq!(process.lost.load(Relaxed), 0);
    }
    let used = world.used(4..6, |by| by == 0);
    assert!(used >= 0.2, "{used}");
    assert!(world.used(4..12, |_| true) >= 0.97);
}

#[tokio::test(start_paused = true)]
async fn without_a_store_everybody_keeps_to_a_safe_share() {
    let mut world = World::new();
    for _ in 0..5 {
        world.start(40, 150);
    }
    world.until(4).await;
    let cut = |world: &World, cut| {
        for process in &world.processes {
            process.cut.store(cut, Relaxed);
        }
    };
    cut(&world, true);
    world.until(14).await;
    // No limit is passed, and nobody starves.
    assert!(world.used(10..14, |_| true) >= 0.95);
    cut(&world, false);
    world.until(18).await;
    world.check();
    assert!(world.used(16..18, |_| true) >= 0.98);
    for process in &world.processes {
        assert_eq!(process.lost.load(Relaxed), 1_001);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_gives_nothing_away_twice() {
    let mut world = World::new();
    for _ in 0..4 {
        world.start(40, 150);
    }
    for minute in 4..10 {
        world.until(minute).await;
        world.store.flush();
    }
    world.until(12).await;
    world.check();
    let used = world.used(4..12, |_| true);
    assert!(used >= 0.95, "{used}");
}

/// The store has never answered: the first calls wait for four times its time limit, and no longer.
#[tokio::test(start_paused = true)]
async fn without_a_store_from_the_beginning_calls_wait_two_seconds() {
    let mut world = World::new();
    let process = world.start(0, 0);
    process.cut.store(true, Relaxed);
    let limiter = process.limiter.clone();
    let before = Instant::now();
    call(&limiter, 150, 0, &world.service).await.unwrap();
    assert!(
        before.elapsed() <= Duration::from_millis(2_200),
        "{:?}",
        before.elapsed()
    );
    // A quarter of the limit, by the number of members that was configured.
    let level = limiter.snapshot(&target()).unwrap().tokens_per_minute;
    assert_eq!(level.effective, Some(LIMIT / 4));
}

/// A store that refuses at once is not asked again at once, however many wait.
#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_not_pestered() {
    let mut world = World::new();
    world.start(40, 150);
    world.until(3).await;
    world.processes[0].refused.store(true, Relaxed);
    let before = world.processes[0].asked.load(Relaxed);
    world.until(6).await;
    let asked = world.processes[0].asked.load(Relaxed) - before;
    assert!(
        (60..=130).contains(&asked),
        "{asked} times in three minutes"
    );
}

/// The store answers: all of the limit is others' that it keeps count of.
#[tokio::test(start_paused = true)]
async fn a_process_too_many_has_no_safe_share() {
    let (fleet, worker) = Fleet::builder(Says(StoreError::Full)).build().unwrap();
    let limiter = Limiter::builder()
        .limits(LimitTable::new().with(QuotaPattern::any(), limits(LIMIT)))
        .fleet(fleet)
        .build()
        .unwrap();
    let working = tokio::spawn(worker.run());
    let (target, demand, context) = (target(), Demand::new(1), Context::new());
    let waiting = limiter.reserve(&target, &demand, &context);
    let waited = tokio::time::timeout(MINUTE / 2, waiting).await;
    assert!(waited.is_err(), "{waited:?}");
    let level = limiter.snapshot(&target).unwrap().tokens_per_minute;
    assert_eq!(level.effective, Some(0));
    working.abort();
}

/// As where a program is given another configuration while its store is down.
#[tokio::test(start_paused = true)]
async fn what_one_limiter_lost_the_one_in_its_place_finds() {
    let cut = Arc::new(AtomicBool::new(false));
    let link = Link {
        store: MemoryStore::new(),
        cut: Arc::clone(&cut),
        refused: Arc::default(),
        asked: Arc::default(),
    };
    let (fleet, worker) = Fleet::builder(link).id(1 << 64).build().unwrap();
    let worker = tokio::spawn(worker.run());
    let told = Arc::default();
    let limiter = || {
        let table = LimitTable::new().with(QuotaPattern::any(), limits(LIMIT));
        let limiter = Limiter::builder().limits(table).fleet(fleet.clone());
        limiter.observe(Told(Arc::clone(&told))).build().unwrap()
    };
    let service = Service::default();
    let first = limiter();
    call(&first, 100, 0, &service).await.unwrap();
    cut.store(true, Relaxed);
    sleep(Duration::from_secs(50)).await;
    assert_eq!(*told.lock().unwrap(), ["found", "lost"]);

    drop(first);
    let second = limiter();
    cut.store(false, Relaxed);
    call(&second, 100, 0, &service).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["found", "lost", "found"]);
    worker.abort();
}
