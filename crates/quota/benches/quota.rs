//! What a call through the quota costs: a reserve and settle pair by itself and through the layer, beside
//! governor's `check_n` and tower's limiters, in one run. Names end in the allocations of one call.
//!
//! `cargo bench -p tower-bedrock-quota`

#![allow(clippy::unwrap_used)]

use std::{
    hint::black_box,
    num::NonZeroU32,
    pin::pin,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use governor::{Quota as GovernorQuota, RateLimiter};
use tower::{Layer, Service, limit::RateLimitLayer, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Completion, Context, Demand, Invocation, Priority, Target, TokenUsage,
};
use tower_bedrock_quota::{
    Estimate, LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern, Window,
};

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

fn pair(limiter: &Limiter, target: &Target, completion: &Completion) {
    let reserved = limiter.try_reserve(target, &demand(), &Context::new());
    let mut reserved = reserved.unwrap();
    reserved.sent();
    reserved.complete(completion);
}

/// A name with the allocations that one call makes, once everything has been made that is made once.
fn counted(name: &str, mut call: impl FnMut()) -> String {
    call();
    let counts = allocation_counter::measure(call);
    format!("{name} ({} allocations)", counts.count_total)
}

fn pairs(c: &mut Criterion) {
    let mut group = c.benchmark_group("reserve and settle");
    let completion = Completion::complete(Some(USAGE));
    for window in [Window::Sliding, Window::Fixed, Window::Bucket] {
        let limiter = limiter(window, 1);
        let target = target(1);
        let name = counted(&format!("{window:?}"), || {
            pair(&limiter, &target, &completion);
        });
        group.bench_function(name, |b| {
            b.iter(|| pair(&limiter, black_box(&target), &completion));
        });
    }
    for keys in [1, 100, 10_000] {
        let limiter = limiter(Window::Sliding, keys);
        let targets: Vec<_> = (0..keys).map(target).collect();
        let mut next = 0;
        group.bench_function(BenchmarkId::new("keys", keys), |b| {
            b.iter(|| {
                next = (next + 7_919) % keys;
                pair(&limiter, &targets[next], &completion);
            });
        });
    }
    let as_declared = Limiter::builder().estimate(AsDeclared).build().unwrap();
    group.bench_function("without limits, without estimates", |b| {
        let target = target(1);
        b.iter(|| pair(&as_declared, black_box(&target), &completion));
    });
    group.bench_function("the clock alone, twice", |b| {
        b.iter(|| {
            black_box(tokio::time::Instant::now());
            black_box(tokio::time::Instant::now())
        });
    });
    let governor = RateLimiter::direct(GovernorQuota::per_second(NonZeroU32::MAX));
    group.bench_function("governor check_n", |b| {
        b.iter(|| governor.check_n(black_box(NonZeroU32::new(1_000).unwrap())));
    });
    group.finish();
}

/// What `iterations` calls take in each of two threads at once.
fn in_two_threads(iterations: u64, call: impl Fn(usize) + Sync) -> Duration {
    let start = std::time::SystemTime::now();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let call = &call;
            scope.spawn(move || (0..iterations).for_each(|_| call(thread)));
        }
    });
    start.elapsed().unwrap_or_default()
}

fn threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("two threads");
    let completion = Completion::complete(Some(USAGE));
    let limiter = limiter(Window::Sliding, 2);
    let targets = [target(1), target(2)];
    group.bench_function("reserve and settle on one key", |b| {
        b.iter_custom(|iterations| {
            in_two_threads(iterations, |_| {
                pair(&limiter, black_box(&targets[0]), &completion)
            })
        });
    });
    group.bench_function("reserve and settle on a key each", |b| {
        b.iter_custom(|iterations| {
            in_two_threads(iterations, |thread| {
                pair(&limiter, black_box(&targets[thread]), &completion);
            })
        });
    });
    let governor = RateLimiter::direct(GovernorQuota::per_second(NonZeroU32::MAX));
    group.bench_function("governor check_n", |b| {
        b.iter_custom(|iterations| {
            in_two_threads(iterations, |_| {
                let _ = black_box(governor.check_n(black_box(NonZeroU32::new(1_000).unwrap())));
            })
        });
    });
    group.finish();
}

fn layers(c: &mut Criterion) {
    let mut group = c.benchmark_group("a call through a layer");
    let mut cx = TaskContext::from_waker(Waker::noop());
    let inner = service_fn(|_: Invocation<()>| async {
        Ok::<_, BoxError>(Answer::new(()).with_usage(USAGE))
    });
    let call = || Invocation::new(target(1), ()).with_demand(demand());
    let request = call();

    let mut service = QuotaLayer::new(limiter(Window::Sliding, 1)).layer(inner);
    group.bench_function("Quota", |b| {
        b.iter(|| {
            let Poll::Ready(_) = Service::<Invocation<()>>::poll_ready(&mut service, &mut cx)
            else {
                return;
            };
            let mut future = pin!(service.call(request.clone()));
            assert!(future.as_mut().poll(&mut cx).is_ready());
        });
    });

    let mut bare = inner;
    group.bench_function("none", |b| {
        b.iter(|| {
            let mut future = pin!(bare.call(request.clone()));
            assert!(future.as_mut().poll(&mut cx).is_ready());
        });
    });

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let mut limited = RateLimitLayer::new(u64::MAX, Duration::from_secs(1)).layer(inner);
    group.bench_function("tower RateLimit", |b| {
        b.iter(|| {
            let Poll::Ready(_) = limited.poll_ready(&mut cx) else {
                return;
            };
            let mut future = pin!(limited.call(request.clone()));
            assert!(future.as_mut().poll(&mut cx).is_ready());
        });
    });
    let mut limited = tower::limit::ConcurrencyLimit::new(inner, 1_000);
    group.bench_function("tower ConcurrencyLimit", |b| {
        b.iter(|| {
            let Poll::Ready(_) = Service::<Invocation<()>>::poll_ready(&mut limited, &mut cx)
            else {
                return;
            };
            let mut future = pin!(limited.call(request.clone()));
            assert!(future.as_mut().poll(&mut cx).is_ready());
        });
    });
    group.finish();
}

/// A call that joins those who wait, and gives up again.
fn waiting(c: &mut Criterion) {
    let mut group = c.benchmark_group("join and leave a queue");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    for waiters in [1, 1_000, 100_000] {
        let limits = Limits::new().with_requests_per_minute(1);
        let limiter = Limiter::builder()
            .limits(LimitTable::new().with(QuotaPattern::any(), limits))
            .max_wait(Duration::from_secs(24 * 3_600))
            .max_waiting(1_000_000)
            .build()
            .unwrap();
        let target = target(1);
        let mut cx = TaskContext::from_waker(Waker::noop());
        let contexts: Vec<_> = (0..100_usize)
            .map(|tenant| {
                Context::new()
                    .with_tenant(format!("tenant-{tenant}"))
                    .with_priority(Priority::ALL[tenant % 3])
            })
            .collect();
        let free = Demand::new(1).with_max_output_tokens(0);
        let mut first = limiter.try_reserve(&target, &free, &contexts[0]).unwrap();
        first.sent();
        let mut queue: Vec<_> = (0..waiters)
            .map(|i| Box::pin(limiter.reserve(&target, &free, &contexts[i % contexts.len()])))
            .collect();
        let mut waiting = 0;
        for future in &mut queue {
            waiting += usize::from(future.as_mut().poll(&mut cx).is_pending());
        }
        let mut next = 0;
        let name = counted(&format!("{waiting} waiting"), || {
            let mut future = pin!(limiter.reserve(&target, &free, &contexts[0]));
            let _ = black_box(future.as_mut().poll(&mut cx));
        });
        group.bench_function(name, |b| {
            b.iter(|| {
                next = (next + 1) % contexts.len();
                let mut future = pin!(limiter.reserve(&target, &free, &contexts[next]));
                let _ = black_box(future.as_mut().poll(&mut cx));
            });
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = benches;
    config = quick();
    targets = pairs, threads, layers, waiting
}
criterion_main!(benches);
