//! What a cache does with calls.

use std::{fmt, sync::OnceLock};

use metrics::{Counter, Label};
use tower_bedrock_core::Target;

use super::{TargetMetrics, labels_of};
use crate::{handles::register_counter, table};

/// What a cache did with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheEvent {
    /// It gave a kept answer that was fresh enough, without asking.
    Hit,
    /// It gave the answer of an identical call that was under way.
    Shared,
    /// It had to ask.
    Missed,
}

/// The handles of what a cache does with calls to one target. Registered when there is a first: where there is no
/// cache, metrics would stay zero for ever.
pub(super) struct Cached {
    labels: Vec<Label>,
    counters: OnceLock<Counters>,
}

struct Counters {
    hits: Counter,
    shared: Counter,
    misses: Counter,
}

impl TargetMetrics {
    /// A cache answered a call without asking, or had to ask. Where it then stands in for an error, what measures
    /// requests counts a degraded answer.
    pub fn cached(&self, target: &Target, event: CacheEvent) {
        let counters = self.caches.get(target, Cached::new).counters();
        let counter = match event {
            CacheEvent::Hit => &counters.hits,
            CacheEvent::Shared => &counters.shared,
            CacheEvent::Missed => &counters.misses,
        };
        counter.increment(1);
    }
}

impl Cached {
    pub(super) fn new(target: Option<&Target>) -> Self {
        Self {
            labels: labels_of(target),
            counters: OnceLock::new(),
        }
    }

    fn counters(&self) -> &Counters {
        self.counters.get_or_init(|| {
            let counter = |metric| register_counter(metric, self.labels.clone());
            Counters {
                hits: counter(table::CACHE_HITS),
                shared: counter(table::CACHE_SHARED_ANSWERS),
                misses: counter(table::CACHE_MISSES),
            }
        })
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}
