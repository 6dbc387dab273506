#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicI64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::{Duration, Instant};

/// One target's retry tokens, exact under contention: balance and time are one atomic number.
///
/// The number is the time at which the bucket was, or will be, empty: what has flowed in since then is
/// the balance. To withdraw is to move it later, to deposit is to move it earlier, and time itself needs
/// no bookkeeping. It is the generic cell rate algorithm, kept in nanoseconds.
#[derive(Debug)]
pub(super) struct Bucket {
    rates: Rates,
    created: Instant,
    /// In nanoseconds since `created`; negative where it was full from the start.
    empty_at: AtomicI64,
}

/// What tokens are in nanoseconds of the bucket's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// One token.
    token: i64,
    /// What a call that was answered brings.
    deposit: i64,
    /// A full bucket.
    capacity: i64,
    /// Whether tokens come with time. Where they do not, the bucket's time stands still.
    flows: bool,
}

impl Rates {
    /// The caller has checked the ranges: at most 100,000 tokens of at most 1,000 seconds each, so that
    /// no sum below leaves an `i64`.
    pub(super) fn new(burst: u32, percent: u32, every: Option<Duration>) -> Self {
        // A hundredth of a token is whole, so no percentage is truncated.
        let nanos = every.unwrap_or(Duration::from_secs(1)).as_nanos();
        let hundredth = i64::try_from(nanos.div_ceil(100)).unwrap_or(i64::MAX / 100);
        let token = hundredth.saturating_mul(100);
        Self {
            token,
            deposit: hundredth.saturating_mul(i64::from(percent)),
            capacity: token.saturating_mul(i64::from(burst)),
            flows: every.is_some(),
        }
    }
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(rates: Rates, now: Instant) -> Self {
        Self {
            rates,
            created: now,
            empty_at: AtomicI64::new(-rates.capacity),
        }
    }

    /// Takes a token, or answers that there is none.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let (now, full) = self.times(now);
        self.update(|empty_at| {
            let empty_at = empty_at.max(full) + self.rates.token;
            (empty_at <= now).then_some(empty_at)
        })
    }

    /// Gives a token back.
    pub(super) fn give_back(&self, now: Instant) {
        self.deposit(self.rates.token, now);
    }

    /// Adds what a call that was answered brings.
    pub(super) fn call_answered(&self, now: Instant) {
        self.deposit(self.rates.deposit, now);
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.empty_at.load(Ordering::Relaxed) <= self.times(now).1
    }

    /// Whole tokens that could be taken now.
    pub(super) fn left(&self, now: Instant) -> u32 {
        let (now, full) = self.times(now);
        let balance = now - self.empty_at.load(Ordering::Relaxed).max(full);
        u32::try_from(balance.max(0) / self.rates.token).unwrap_or(u32::MAX)
    }

    fn deposit(&self, amount: i64, now: Instant) {
        let (_, full) = self.times(now);
        self.update(|empty_at| {
            let earlier = (empty_at - amount).max(full);
            (earlier < empty_at).then_some(earlier)
        });
    }

    /// The bucket's time, and the time it was empty at if it is full.
    fn times(&self, now: Instant) -> (i64, i64) {
        // A century leaves room for a full bucket on both sides.
        const LAST: i64 = 100 * 365 * 24 * 3_600 * 1_000_000_000;
        let now = if self.rates.flows {
            let passed = now.saturating_duration_since(self.created).as_nanos();
            i64::try_from(passed).map_or(LAST, |passed| passed.min(LAST))
        } else {
            0
        };
        (now, now - self.rates.capacity)
    }

    /// One variable, so relaxed ordering is enough: its modification order is total, and no other memory
    /// is published by it.
    fn update(&self, next: impl FnMut(i64) -> Option<i64>) -> bool {
        self.empty_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
