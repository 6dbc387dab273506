//! Processes that share one quota, each with a limiter of its own, in paused time around one store.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used)]

mod day;
mod membership;
mod outages;
mod sharing;

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
    Completion, Context, Demand, Fault, FaultKind, Headroom, Priority, Target, TokenUsage,
};
use tower_bedrock_quota::{
    Limit, LimitTable, Limiter, Limits, Observe, QuotaKey, QuotaPattern,
    fleet::{Answering, Fleet, MemoryStore, Renewal, Store, StoreError},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

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

    /// The most that was used in any time of this length.
    fn most(&self, window: Duration) -> u64 {
        let calls = self.calls.lock().unwrap();
        let mut from = 0;
        let mut used = 0;
        let mut most = 0;
        for (at, tokens, _) in calls.iter() {
            used += tokens;
            while calls[from].0 + window <= *at {
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
    fn start(
        store: &MemoryStore,
        number: usize,
        limits: LimitTable,
        members: u64,
        priority: Priority,
    ) -> Self {
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
            .priority(priority)
            .id((number as u128 + 1) << 64)
            .build()
            .unwrap();
        let lost = Arc::new(AtomicU64::new(0));
        let limiter = Limiter::builder()
            .limits(limits)
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
        pause: Duration,
    ) {
        for _ in 0..count {
            let (limiter, service, number) = (self.limiter.clone(), service.clone(), self.number);
            callers.spawn(async move {
                while Instant::now() < end {
                    if call(&limiter, tokens, number, &service).await.is_err() {
                        sleep(pause).await;
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

fn table(limits: Limits) -> LimitTable {
    LimitTable::new().with(QuotaPattern::any(), limits)
}

/// Processes around one store, each with callers of its own.
struct World {
    limit: u64,
    /// Of which the limit is.
    window: Duration,
    table: LimitTable,
    store: MemoryStore,
    service: Service,
    start: Instant,
    /// Of the processes that are started next.
    priority: Priority,
    processes: Vec<Process>,
    callers: Vec<JoinSet<()>>,
}

impl World {
    fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    fn with_limit(limit: u64) -> Self {
        Self::with_table(limit, MINUTE, table(limits(limit)))
    }

    fn with_table(limit: u64, window: Duration, table: LimitTable) -> Self {
        Self {
            limit,
            window,
            table,
            store: MemoryStore::new(),
            service: Service::default(),
            start: Instant::now(),
            priority: Priority::default(),
            processes: Vec::new(),
            callers: Vec::new(),
        }
    }

    fn process(&self) -> Process {
        let number = self.processes.len();
        Process::start(&self.store, number, self.table.clone(), 4, self.priority)
    }

    /// Starts a process, with so many callers that make one call of `tokens` after the other.
    fn start(&mut self, callers: usize, tokens: u64) -> &Process {
        let process = self.process();
        let mut set = JoinSet::new();
        let end = self.start + 10 * DAY;
        // Who is turned away comes back after a second, and for a day's quota after half a minute.
        let pause = if self.window == DAY { 30 } else { 1 };
        let pause = Duration::from_secs(pause);
        process.load(&mut set, callers, tokens, &self.service, end, pause);
        self.processes.push(process);
        self.callers.push(set);
        self.processes.last().unwrap()
    }

    /// Starts a process, with so many callers whose calls are of many sizes and last for some seconds.
    fn start_varied(&mut self, callers: usize) {
        let number = self.processes.len();
        let process = self.process();
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
        let most = self.service.most(self.window);
        assert!(most <= self.limit, "{most} in {:?}", self.window);
    }
}
