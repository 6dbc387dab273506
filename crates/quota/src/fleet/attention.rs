use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::leased::Leased;
use crate::{Limit, Reason, budget::Refusal};

/// What is short of something, for the worker to look at.
#[derive(Default)]
pub(crate) struct Calls {
    leased: Mutex<Vec<Weak<dyn Leased>>>,
    notify: Notify,
    /// Whether the worker has left the fleet.
    ended: AtomicBool,
}

/// How a key, or a day, calls the worker.
pub(crate) struct Attention {
    calls: Arc<Calls>,
    leased: Weak<dyn Leased>,
    number: u64,
    called: AtomicBool,
    missed: Missed,
}

/// What was turned away for want of room since the worker last looked.
#[derive(Debug, Default)]
struct Missed {
    calls: AtomicU64,
    tokens: AtomicU64,
    largest: AtomicU64,
}

/// The same, read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turned {
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
    pub(crate) largest: u64,
}

impl Calls {
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }

    pub(crate) fn take(&self) -> Vec<Weak<dyn Leased>> {
        std::mem::take(&mut self.leased.lock())
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Relaxed)
    }

    fn push(&self, new: Weak<dyn Leased>) {
        let mut leased = self.leased.lock();
        // Where no worker takes them, keys come and go, and their places with them.
        if leased.len() == leased.capacity() {
            leased.retain(|one| one.strong_count() > 0);
        }
        leased.push(new);
        drop(leased);
        self.notify.notify_one();
    }
}

impl Attention {
    pub(crate) fn new(calls: Arc<Calls>, leased: Weak<dyn Leased>, number: u64) -> Self {
        Self {
            calls,
            leased,
            number,
            called: AtomicBool::new(false),
            missed: Missed::default(),
        }
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The worker is to look. Costs next to nothing until it has.
    pub(crate) fn call(&self) {
        if !self.called.load(Relaxed) && !self.called.swap(true, Relaxed) {
            self.calls.push(self.leased.clone());
        }
    }

    /// A call was turned away.
    pub(crate) fn missed(&self, refusal: &Refusal) {
        if !matches!(refusal.reason, Reason::WaitTooLong | Reason::TooManyWaiting) {
            return;
        }
        self.missed.calls.fetch_add(1, Relaxed);
        if refusal.limit == Limit::TokensPerMinute {
            self.missed.tokens.fetch_add(refusal.asked, Relaxed);
            self.missed.largest.fetch_max(refusal.asked, Relaxed);
        }
        self.call();
    }

    /// The worker looks.
    pub(crate) fn answer(&self) -> Turned {
        self.called.store(false, Relaxed);
        let take = |count: &AtomicU64| count.swap(0, Relaxed);
        Turned {
            calls: take(&self.missed.calls),
            tokens: take(&self.missed.tokens),
            largest: take(&self.missed.largest),
        }
    }
}

impl fmt::Debug for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attention")
            .field("number", &self.number)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
