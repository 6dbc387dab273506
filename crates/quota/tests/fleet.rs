//! Processes that share one quota, each with a limiter of its own, in paused time around one store.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Duration, Instant, sleep, sleep_until},
};
use tower_bedrock_core::{
    Completion, Context, Demand, Fault, FaultKind, Priority, Target, TokenUsage,
};
use tower_bedrock_quota::{
    LimitTable, Limiter, Limits, Observe, QuotaKey, QuotaPattern,
    fleet::{Answering, Fleet, MemoryStore, Renewal, Store, StoreError},
};

const MINUTE: Duration = Duration::from_secs(60);

fn target() -> Target {
    Target::parse("us-east-1", "acme.small-1").unwrap()
}

/// What all processes used, and when.
#[derive(Clone, Default)]
struct Service {
    calls: Arc<Mutex<Vec<(Instant, u64, usize)>>>,
}

impl Service {
    fn call(&self, process: usize, tokens: u64) {
        self.calls
            .lock()
            .unwrap()
            .push((Instant::now(), tokens, process));
    }

    /// The most that was used in any minute.
    fn most(&self) -> u64 {
        let calls = self.calls.lock().unwrap();
        let mut from = 0;
        let mut used = 0;
        let mut most = 0;
        for (at, tokens, _) in calls.iter() {
            used += tokens;
            while calls[from].0 + MINUTE <= *at {
                used -= calls[from].1;
                from += 1;
            }
            most = most.max(used);
        }
        most
    }

    fn used(&self, from: Instant, until: Instant, process: impl Fn(usize) -> bool) -> u64 {
        let calls = self.calls.lock().unwrap();
        let within = calls
            .iter()
            .filter(|(at, _, by)| (from..until).contains(at) && process(*by));
        within.map(|(_, tokens, _)| tokens).sum()
    }

    fn count(&self) -> u64 {
        self.calls.lock().unwrap().len() as u64
    }
}

/// A link to the store that can be cut.
#[derive(Clone)]
struct Link {
    store: MemoryStore,
    cut: Arc<AtomicBool>,
    refused: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Store for Link {
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Relaxed);
            if self.refused.load(Relaxed) {
                return Err(StoreError::Failed("refused".into()));
            }
            if self.cut.load(Relaxed) {
                sleep(MINUTE).await;
            }
            self.store.renew(key, renewal).await
        })
    }
}

struct Process {
    number: usize,
    limiter: Limiter,
    worker: JoinHandle<()>,
    cut: Arc<AtomicBool>,
    refused: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    stop: Arc<tokio::sync::Notify>,
}

struct Watch(Arc<AtomicU64>);

impl Observe for Watch {
    fn store_lost(&self, _: &QuotaKey) {
        self.0.fetch_add(1, Relaxed);
    }

    fn store_back(&self, _: &QuotaKey, _: Duration) {
        self.0.fetch_add(1_000, Relaxed);
    }
}

impl Process {
    fn start(store: &MemoryStore, number: usize, limits: Limits, members: u64) -> Self {
        let cut = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU64::new(0));
        let link = Link {
            store: store.clone(),
            cut: Arc::clone(&cut),
            refused: Arc::clone(&refused),
            asked: Arc::clone(&asked),
        };
        let (fleet, worker) = Fleet::builder(link)
            .members(members)
            .id((number as u128 + 1) << 64)
            .build()
            .unwrap();
        let lost = Arc::new(AtomicU64::new(0));
        let limiter = Limiter::builder()
            .limits(LimitTable::new().with(QuotaPattern::any(), limits))
            // No call is on its way for any time.
            .delay_variation(Duration::ZERO)
            .fleet(fleet)
            .observe(Watch(Arc::clone(&lost)))
            .build()
            .unwrap();
        let stop = Arc::new(tokio::sync::Notify::new());
        let stopped = Arc::clone(&stop);
        let worker = tokio::spawn(worker.run_until(async move { stopped.notified().await }));
        Self {
            number,
            limiter,
            worker,
            cut,
            refused,
            asked,
            lost,
            stop,
        }
    }

    /// Calls of `tokens` one after the other, as many at once as there are callers.
    fn load(
        &self,
        callers: &mut JoinSet<()>,
        count: usize,
        tokens: u64,
        service: &Service,
        end: Instant,
    ) {
        for _ in 0..count {
            let (limiter, service, number) = (self.limiter.clone(), service.clone(), self.number);
            callers.spawn(async move {
                while Instant::now() < end {
                    if call(&limiter, tokens, number, &service).await.is_err() {
                        sleep(Duration::from_secs(1)).await;
                    }
                }
            });
        }
    }
}

async fn call(limiter: &Limiter, tokens: u64, number: usize, service: &Service) -> Result<(), ()> {
    let lasts = Duration::from_millis(100);
    call_that_lasts(lasts, limiter, tokens, number, service).await
}

async fn call_that_lasts(
    time: Duration,
    limiter: &Limiter,
    tokens: u64,
    number: usize,
    service: &Service,
) -> Result<(), ()> {
    let demand = Demand::new(tokens).with_max_output_tokens(0);
    let reserved = limiter.reserve(&target(), &demand, &Context::new()).await;
    let mut reservation = reserved.map_err(|_| ())?;
    reservation.sent();
    service.call(number, tokens);
    sleep(time).await;
    let usage = TokenUsage {
        input: tokens,
        ..TokenUsage::default()
    };
    reservation.complete(&Completion::complete(Some(usage)));
    Ok(())
}

const LIMIT: u64 = 120_000;

fn limits(tokens: u64) -> Limits {
    Limits::new()
        .with_tokens_per_minute(tokens)
        .with_requests_per_minute(100_000)
}

/// Processes around one store, each with callers of its own.
struct World {
    limit: u64,
    store: MemoryStore,
    service: Service,
    start: Instant,
    processes: Vec<Process>,
    callers: Vec<JoinSet<()>>,
}

impl World {
    fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    fn with_limit(limit: u64) -> Self {
        Self {
            limit,
            store: MemoryStore::new(),
            service: Service::default(),
            start: Instant::now(),
            processes: Vec::new(),
            callers: Vec::new(),
        }
    }

    /// Starts a process, with so many callers that make one call of `tokens` after the other.
    fn start(&mut self, callers: usize, tokens: u64) -> &Process {
        let process = Process::start(&self.store, self.processes.len(), limits(self.limit), 4);
        let mut set = JoinSet::new();
        let end = self.start + 24 * 60 * MINUTE;
        process.load(&mut set, callers, tokens, &self.service, end);
        self.processes.push(process);
        self.callers.push(set);
        self.processes.last().unwrap()
    }

    /// Starts a process, with so many callers whose calls are of many sizes and last for some seconds.
    fn start_varied(&mut self, callers: usize) {
        let number = self.processes.len();
        let process = Process::start(&self.store, number, limits(self.limit), 4);
        let mut set = JoinSet::new();
        for caller in 0..callers {
            let (limiter, service) = (process.limiter.clone(), self.service.clone());
            let mut random = StdRng::seed_from_u64((number << 16 | caller) as u64);
            set.spawn(async move {
                loop {
                    let tokens = random.random_range(300..=3_000);
                    let time = Duration::from_millis(random.random_range(2_000..=13_000));
                    let answered = call_that_lasts(time, &limiter, tokens, number, &service);
                    if answered.await.is_err() {
                        sleep(Duration::from_secs(1)).await;
                    }
                }
            });
        }
        self.processes.push(process);
        self.callers.push(set);
    }

    async fn until(&self, minute: u32) {
        sleep_until(self.start + minute * MINUTE).await;
    }

    /// The part of the limit that was used from one minute to another.
    fn used(&self, minutes: std::ops::Range<u32>, process: impl Fn(usize) -> bool) -> f64 {
        let count = u64::from(minutes.end - minutes.start);
        let from = self.start + minutes.start * MINUTE;
        let until = self.start + minutes.end * MINUTE;
        self.service.used(from, until, process) as f64 / (self.limit * count) as f64
    }

    /// As `kill -9` does: nothing is said or done any more.
    async fn kill(&mut self, process: usize) {
        self.processes[process].worker.abort();
        self.callers[process].shutdown().await;
    }

    /// Its callers stop; it goes on.
    async fn kill_callers(&mut self, process: usize) {
        self.callers[process].shutdown().await;
    }

    fn check(&self) {
        let most = self.service.most();
        assert!(most <= self.limit, "{most} in one minute");
    }
}

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

/// One whose store always says the same.
struct Says(StoreError);

impl Store for Says {
    fn renew<'a>(&'a self, _: &'a str, _: &'a Renewal) -> Answering<'a> {
        Box::pin(async { Err(self.0.clone()) })
    }
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
    let process = Process::start(&store, 0, Limits::new(), 4);
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
    let process = Process::start(&store, 0, limits(LIMIT), 4);
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
    assert_eq!(error.to_string(), "timeout is 0: expected 0.01 to 5");
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
