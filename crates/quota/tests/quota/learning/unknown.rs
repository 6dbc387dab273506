//! A limit of which nothing is known, against a small service with a quota, in paused time.

use super::*;

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

/// A pace runs ahead by a second's worth at the most, and it is of that that a share is left.
#[tokio::test(start_paused = true)]
async fn what_is_left_to_others_is_a_share_of_what_a_pace_lets_through_at_once() {
    let limiter = Limiter::new(LimitTable::new()).unwrap();
    for _ in 0..1_200 {
        drop(send(&limiter));
        advance(Duration::from_millis(50)).await;
    }
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledRequests));
    advance(Duration::from_secs(10)).await;
    let at_once = limiter.snapshot(&target()).unwrap();
    let at_once = at_once.requests_per_minute.effective.unwrap() / 60;
    assert!((16..24).contains(&at_once), "{at_once}");
    let demand = Demand::new(1).with_max_output_tokens(0);
    let wait = |share| limiter.time_to_serve_leaving(share, &target(), &demand, &Context::new());
    let fill = |share| {
        let mut calls = 0;
        while wait(share).is_zero() {
            drop(send(&limiter));
            calls += 1;
        }
        calls
    };
    let left = at_once.div_ceil(2);
    assert_eq!(fill(0.5), at_once - left);
    assert_eq!(fill(0.0), left);
}
