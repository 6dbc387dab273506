//! The answers that are kept, bounded in bytes.

use std::fmt;

use quick_cache::{Weighter, sync::Cache};
use tokio::time::{Duration, Instant};

use crate::Key;

/// What an entry takes besides the answer, about.
const OVERHEAD: u64 = 128;

pub(crate) struct Store<V> {
    entries: Cache<Key, Entry<V>, Bytes>,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    bytes: u64,
    kept_at: Instant,
}

#[derive(Clone)]
struct Bytes;

impl<V> Weighter<Key, Entry<V>> for Bytes {
    fn weight(&self, _: &Key, entry: &Entry<V>) -> u64 {
        entry.bytes
    }
}

impl<V: Clone> Store<V> {
    pub(crate) fn new(max_bytes: u64) -> Self {
        // Low on purpose: it decides on the number of shards, and no answer is kept that is larger than its shard.
        const ESTIMATED_ENTRIES: usize = 64;
        Self {
            entries: Cache::with_weighter(ESTIMATED_ENTRIES, max_bytes, Bytes),
        }
    }

    /// Keeps an answer, in place of an older one.
    pub(crate) fn keep(&self, key: Key, value: V, bytes: usize, now: Instant) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let entry = Entry {
            value,
            bytes: bytes.saturating_add(OVERHEAD),
            kept_at: now,
        };
        self.entries.insert(key, entry);
    }

    /// An answer and its age. One that is older than anybody would take it is forgotten.
    pub(crate) fn find(&self, key: &Key, longest: Duration, now: Instant) -> Option<(V, Duration)> {
        let age = |entry: &Entry<V>| now.saturating_duration_since(entry.kept_at);
        let entry = self.entries.get(key)?;
        if age(&entry) > longest {
            self.entries.remove_if(key, |entry| age(entry) > longest);
            return None;
        }
        let age = age(&entry);
        Some((entry.value, age))
    }

    pub(crate) fn clear(&self) {
        self.entries.clear();
    }
}

impl<V: Clone> fmt::Debug for Store<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("entries", &self.entries.len())
            .field("bytes", &self.entries.weight())
            .finish()
    }
}
