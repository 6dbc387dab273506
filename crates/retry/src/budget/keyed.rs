use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hashbrown::HashMap;
use parking_lot::RwLock;
use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Target, clock};

use super::{
    Budget,
    bucket::{Bucket, Rates},
};

/// The buckets of all targets whose bucket is not full.
///
/// A target that is not here has a full bucket: nothing is kept of targets that do well, nor of those a
/// client invents, whose faults are not retried.
#[derive(Debug)]
pub(crate) struct Budgets {
    rates: Rates,
    burst: u32,
    max_targets: usize,
    buckets: RwLock<Buckets>,
    /// How many buckets there are, to be asked without the lock by calls that succeed.
    kept: AtomicUsize,
    /// For the targets that find no place.
    shared: Arc<Bucket>,
}

#[derive(Debug)]
struct Buckets {
    by_target: HashMap<Target, Arc<Bucket>>,
    next_sweep: Instant,
}

/// A token taken for a retry. It goes back if it is dropped before the attempt starts.
#[derive(Debug)]
pub(crate) struct Withdrawal {
    bucket: Arc<Bucket>,
    spent: bool,
}

impl Budgets {
    pub(crate) fn new(budget: &Budget) -> Self {
        let rates = budget.rates();
        let now = Instant::now();
        Self {
            rates,
            burst: budget.burst,
            max_targets: budget.max_targets,
            buckets: RwLock::new(Buckets {
                by_target: HashMap::new(),
                next_sweep: now,
            }),
            kept: AtomicUsize::new(0),
            shared: Arc::new(Bucket::new(rates, now)),
        }
    }

    /// Takes a token for a retry on `target`, or answers that there is none.
    pub(crate) fn withdraw(&self, target: &Target, now: Instant) -> Option<Withdrawal> {
        // Taken under the lock, so that nobody forgets the bucket as full in between.
        if let Some(bucket) = self.buckets.read().by_target.get(target) {
            return Withdrawal::take(bucket, now);
        }
        let mut buckets = self.buckets.write();
        if !buckets.by_target.contains_key(target) && !self.has_place(&mut buckets, now) {
            return Withdrawal::take(&self.shared, now);
        }
        let bucket = buckets
            .by_target
            .entry(target.clone())
            .or_insert_with(|| Arc::new(Bucket::new(self.rates, now)));
        let withdrawal = Withdrawal::take(bucket, now);
        self.kept.store(buckets.by_target.len(), Ordering::Relaxed);
        withdrawal
    }

    /// Credits `target` with a call that was answered. Nearly free while no target is short of tokens.
    #[inline]
    pub(crate) fn call_answered(&self, target: &Target) {
        if self.kept.load(Ordering::Relaxed) > 0 {
            self.credit(target);
        }
    }

    fn credit(&self, target: &Target) {
        let now = clock::now();
        let full = match self.buckets.read().by_target.get(target) {
            Some(bucket) => {
                bucket.call_answered(now);
                bucket.is_full(now)
            }
            None => false,
        };
        if full {
            self.forget(target, now);
        }
    }

    /// Whole tokens that `target` has now.
    pub(crate) fn left(&self, target: &Target, now: Instant) -> u32 {
        let buckets = self.buckets.read();
        match buckets.by_target.get(target) {
            Some(bucket) => bucket.left(now),
            None if buckets.by_target.len() >= self.max_targets => self.shared.left(now),
            None => self.burst,
        }
    }

    /// Forgets a bucket that is full, unless somebody has taken a token in the meantime.
    fn forget(&self, target: &Target, now: Instant) {
        let mut buckets = self.buckets.write();
        let bucket = buckets.by_target.get(target);
        if bucket.is_some_and(|bucket| bucket.is_full(now)) {
            buckets.by_target.remove(target);
            self.kept.store(buckets.by_target.len(), Ordering::Relaxed);
        }
    }

    fn has_place(&self, buckets: &mut Buckets, now: Instant) -> bool {
        const SWEEP_EVERY: Duration = Duration::from_secs(1);
        if buckets.by_target.len() >= self.max_targets && now >= buckets.next_sweep {
            buckets.next_sweep = now + SWEEP_EVERY;
            buckets.by_target.retain(|_, bucket| !bucket.is_full(now));
        }
        buckets.by_target.len() < self.max_targets
    }
}

// === impl Withdrawal ===

impl Withdrawal {
    fn take(bucket: &Arc<Bucket>, now: Instant) -> Option<Self> {
        bucket.withdraw(now).then(|| Self {
            bucket: Arc::clone(bucket),
            spent: false,
        })
    }

    /// The attempt it was taken for starts.
    pub(crate) const fn spend(&mut self) {
        self.spent = true;
    }

    /// That attempt succeeded.
    pub(crate) fn give_back(mut self) {
        self.spent = false;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if !self.spent {
            self.bucket.give_back(Instant::now());
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
