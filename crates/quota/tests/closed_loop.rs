//! Twenty clients that never stop, on one quota of 100,000 tokens a minute, with estimates that have to be
//! learnt: what a mirror of the quota is worth. In paused time.

#![allow(clippy::unwrap_used)]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{
    task::LocalSet,
    time::{Instant, sleep},
};
use tower_bedrock_core::{
    Completion, Content, Context, Demand, Fault, FaultKind, Target, TokenUsage,
};
use tower_bedrock_quota::{LimitTable, Limiter, Limits, QuotaPattern, Window};

const LIMIT: f64 = 100_000.0;
const BURNDOWN: f64 = 5.0;

/// Bedrock's bucket, with its own arithmetic.
struct Service {
    level: Cell<f64>,
    at: Cell<Instant>,
    used: Cell<f64>,
    throttled: Cell<u32>,
    waits: RefCell<Vec<Duration>>,
}

impl Service {
    fn refill(&self) {
        let now = Instant::now();
        let seconds = (now - self.at.replace(now)).as_secs_f64();
        self.level
            .set((self.level.get() + seconds * LIMIT / 60.0).min(LIMIT));
    }

    fn start(&self, input: f64, max_output: f64) -> bool {
        self.refill();
        let admitted = self.level.get() >= input + max_output;
        if admitted {
            self.level.set(self.level.get() - input - max_output);
        } else {
            self.throttled.set(self.throttled.get() + 1);
        }
        admitted
    }

    fn end(&self, input: f64, output: f64, max_output: f64) {
        self.refill();
        let cost = input + output * BURNDOWN;
        self.level
            .set((self.level.get() + input + max_output - cost).min(LIMIT));
        self.used.set(self.used.get() + cost);
    }
}

struct Random(u64);

impl Random {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        low + (high - low) * ((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

async fn client(limiter: Limiter, service: Rc<Service>, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let target = Target::parse("us-east-1", "anthropic.claude-sonnet-4-20250514-v1:0").unwrap();
    loop {
        let input = random.between(200.0, 2_000.0).round();
        let output = random.between(50.0, 600.0).round();
        // The tokeniser makes a token of 3.2 bytes, more or less; the first estimate is four.
        let content = Content {
            ascii_bytes: (input * random.between(3.1, 3.3)) as u64,
            ..Content::default()
        };
        let demand = Demand::from(content).with_max_output_tokens(1_000);
        let asked = Instant::now();
        let Ok(mut reserved) = limiter.reserve(&target, &demand, &Context::new()).await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        service.waits.borrow_mut().push(asked.elapsed());
        reserved.sent();
        if service.start(input, 1_000.0) {
            sleep(Duration::from_secs_f64(1.0 + output / 50.0)).await;
            service.end(input, output, 1_000.0);
            let usage = TokenUsage {
                input: input as u64,
                output: output as u64,
                ..TokenUsage::default()
            };
            reserved.complete(&Completion::complete(Some(usage)));
        } else {
            reserved.fail(&Fault::new(FaultKind::ThrottledTokens));
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// What the limiter is told of the quota.
#[derive(Clone, Copy, Debug)]
enum Told {
    Window(Window),
    Nothing,
}

/// The share of the quota used, throttles, and the 99th percentile of the waits.
fn run(told: Told, seconds: u64, seed: u64) -> (f64, u32, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let limits = match told {
            Told::Window(window) => Limits::new()
                .with_tokens_per_minute(LIMIT as u64)
                .with_window(window),
            Told::Nothing => Limits::new(),
        };
        let limiter = Limiter::new(LimitTable::new().with(QuotaPattern::any(), limits)).unwrap();
        let service = Rc::new(Service {
            level: Cell::new(LIMIT),
            at: Cell::new(Instant::now()),
            used: Cell::new(0.0),
            throttled: Cell::new(0),
            waits: RefCell::default(),
        });
        for number in 0..20 {
            let seed = seed * 100 + number;
            tokio::task::spawn_local(client(limiter.clone(), Rc::clone(&service), seed));
        }
        sleep(Duration::from_secs(seconds)).await;
        let refilled = LIMIT + LIMIT * seconds as f64 / 60.0;
        let mut waits = service.waits.take();
        waits.sort_unstable();
        (
            service.used.get() / refilled,
            service.throttled.get(),
            waits[waits.len() * 99 / 100],
        )
    })
}

/// The bucket starts full, and only the mirror that knows it for a bucket uses that up: ten elevenths is all
/// there is for the other.
#[test]
fn a_quota_that_is_mirrored_is_used_up_without_a_throttle() {
    for (window, least) in [(Window::Bucket, 0.98), (Window::Sliding, 0.9)] {
        let (used, throttled, p99) = run(Told::Window(window), 600, 1);
        assert_eq!(throttled, 0, "{window:?}");
        assert!(used > least, "{window:?}: {used}");
        assert!(p99 < Duration::from_secs(55), "{window:?}: {p99:?}");
    }
}

#[test]
fn a_quota_that_nobody_was_told_of_is_found_and_used() {
    for seed in 1..=3 {
        let (used, throttled, p99) = run(Told::Nothing, 1_800, seed);
        // Of about 1,100 calls.
        assert!(throttled < 60, "{throttled}");
        assert!(used > 0.93, "{used}");
        assert!(p99 < Duration::from_secs(45), "{p99:?}");
    }
}
