//! What a call through the quota costs: a reserve and settle pair by itself and through the layer, beside
//! governor's `check_n` and tower's limiters, in one run.
//!
//! `cargo bench -p tower-bedrock-quota`

#![allow(clippy::unwrap_used)]

use std::{
    hint::black_box,
    num::NonZeroU32,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bench_support::{Bench, call};
use governor::{Quota as GovernorQuota, RateLimiter};
use tokio::runtime::{EnterGuard, Runtime};
use tower::{
    Layer, Service,
    limit::{ConcurrencyLimitLayer, RateLimitLayer},
    service_fn,
};
use tower_bedrock_core::{
    Answer, BoxError, Completion, Context, Demand, Invocation, Target, TokenUsage, clock,
};
use tower_bedrock_quota::{
    Estimate, LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern, Window,
};

mod waiting;

const USAGE: TokenUsage = TokenUsage {
    input: 1_000,
    output: 100,
    cache_read: 0,
    cache_write: 0,
};

struct AsDeclared;

impl Estimate for AsDeclared {
    fn input_tokens(&self, _: &str, demand: &Demand) -> u64 {
        demand.input_tokens()
    }
}

/// Limits that a benchmark does not use up.
fn limiter(window: Window, keys: usize) -> Limiter {
    let limits = Limits::new()
        .with_requests_per_minute(Limits::MAX)
        .with_tokens_per_minute(Limits::MAX)
        .with_window(window);
    Limiter::builder()
        .limits(LimitTable::new().with(QuotaPattern::any(), limits))
        .max_keys(keys)
        .build()
        .unwrap()
}

fn target(model: usize) -> Target {
    let model = format!("us.anthropic.claude-sonnet-4-20250514-v{model}:0");
    Target::parse("us-east-1", &model).unwrap()
}

fn demand() -> Demand {
    Demand::new(1_000).with_max_output_tokens(1_000)
}

fn pair(limiter: &Limiter, target: &Target) {
    let reserved = limiter.try_reserve(target, &demand(), &Context::new());
    let mut reserved = reserved.unwrap();
    reserved.sent();
    reserved.complete(black_box(&Completion::complete(Some(USAGE))));
}

fn pairs(bench: &mut Bench) {
    let name = |name: &str| format!("reserve and settle/{name}");
    for window in [Window::Sliding, Window::Fixed, Window::Bucket] {
        bench.case(&name(&format!("{window:?}")), || {
            let limiter = limiter(window, 1);
            let target = target(1);
            move || pair(&limiter, black_box(&target))
        });
    }
    for keys in [1, 100, 10_000] {
        bench.case(&name(&format!("keys/{keys}")), || {
            let limiter = limiter(Window::Sliding, keys);
            let targets: Vec<_> = (0..keys).map(target).collect();
            targets.iter().for_each(|target| pair(&limiter, target));
            let mut next = 0;
            move || {
                next = (next + 7_919) % keys;
                pair(&limiter, &targets[next]);
            }
        });
    }
    bench.case(&name("without limits, without estimates"), || {
        let limiter = Limiter::builder().estimate(AsDeclared).build().unwrap();
        let target = target(1);
        move || pair(&limiter, black_box(&target))
    });
    // What is left where somebody has read the clock before, as whoever stands further out in a stack has.
    bench.case(&name("with the clock read before"), || {
        let limiter = limiter(Window::Sliding, 1);
        let target = target(1);
        let read = clock::share();
        move || {
            let _ = &read;
            pair(&limiter, black_box(&target));
        }
    });
    bench.case(&name("the clock alone, twice"), || {
        || {
            black_box(tokio::time::Instant::now());
            black_box(tokio::time::Instant::now());
        }
    });
    bench.case(&name("governor check_n"), || {
        let governor = RateLimiter::direct(GovernorQuota::per_second(NonZeroU32::MAX));
        move || {
            let _ = black_box(governor.check_n(black_box(NonZeroU32::new(1_000).unwrap())));
        }
    });
}

fn threads(bench: &mut Bench) {
    bench.two_threads("two threads/reserve and settle on one key", || {
        let limiter = limiter(Window::Sliding, 2);
        let target = target(1);
        move |_| pair(&limiter, black_box(&target))
    });
    bench.two_threads("two threads/reserve and settle on a key each", || {
        let limiter = limiter(Window::Sliding, 2);
        let targets = [target(1), target(2)];
        move |thread| pair(&limiter, black_box(&targets[thread]))
    });
    bench.two_threads("two threads/reserve and settle on 10000 keys", || {
        let limiter = limiter(Window::Sliding, 10_000);
        let targets: Vec<_> = (0..10_000).map(target).collect();
        targets.iter().for_each(|target| pair(&limiter, target));
        let next = [AtomicUsize::new(0), AtomicUsize::new(5_000)];
        move |thread| {
            let next = next[thread].fetch_add(7_919, Relaxed);
            pair(&limiter, &targets[next % targets.len()]);
        }
    });
    bench.two_threads("two threads/governor check_n", || {
        let governor = RateLimiter::direct(GovernorQuota::per_second(NonZeroU32::MAX));
        move |_| {
            let _ = black_box(governor.check_n(black_box(NonZeroU32::new(1_000).unwrap())));
        }
    });
}

fn through<S: Service<Invocation<()>>>(bench: &mut Bench, name: &str, make: impl FnOnce() -> S) {
    bench.case(&format!("a call through a layer/{name}"), || {
        let request = Invocation::new(target(1), ()).with_demand(demand());
        let mut service = make();
        move || call(&mut service, &request)
    });
}

fn layers(bench: &mut Bench) {
    let inner = service_fn(|_: Invocation<()>| async {
        Ok::<_, BoxError>(Answer::new(()).with_usage(USAGE))
    });
    through(bench, "Quota", || {
        QuotaLayer::new(limiter(Window::Sliding, 1)).layer(inner)
    });
    through(bench, "none", || inner);
    through(bench, "tower RateLimit", || {
        RateLimitLayer::new(u64::MAX, Duration::from_secs(1)).layer(inner)
    });
    through(bench, "tower ConcurrencyLimit", || {
        ConcurrencyLimitLayer::new(1_000).layer(inner)
    });
}

/// What timers need.
fn runtime() -> EnterGuard<'static> {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    });
    RUNTIME.enter()
}

fn main() {
    let _entered = runtime();
    let mut bench = Bench::from_args();
    pairs(&mut bench);
    threads(&mut bench);
    layers(&mut bench);
    waiting::benches(&mut bench);
    bench.finish();
}
