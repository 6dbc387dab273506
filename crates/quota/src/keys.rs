//! The keys that are kept count of, to be found by whoever calls them.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::RwLock;

use crate::{QuotaKey, key::Key, quota_key::KeyRef};

/// In several parts with a lock each: calls to different keys don't wait for one another, nor does the memory of
/// one lock go to and fro between them.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    hasher: DefaultHashBuilder,
    parts: [Part; PARTS],
}

/// As large as what processors pass to one another at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(RwLock<HashTable<Arc<Key>>>);

const PARTS: usize = 16;

impl Keys {
    pub(crate) fn find(&self, name: KeyRef<'_>) -> Option<Arc<Key>> {
        let hash = self.hasher.hash_one(name);
        let keys = self.part(hash).0.read();
        keys.find(hash, |key| name.is_of(key.name())).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Key>> {
        let parts = self.parts.iter();
        parts
            .flat_map(|part| part.0.read().iter().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&self, key: Arc<Key>) {
        let hash = self.hasher.hash_one(key.name());
        let mut keys = self.part(hash).0.write();
        keys.insert_unique(hash, key, |key| self.hasher.hash_one(key.name()));
    }

    /// Forgets those that nobody has and that are `idle`, and answers how many. A key is handed out under the lock
    /// that is held here, so who has none now gets none meanwhile.
    pub(crate) fn forget(&self, idle: impl Fn(&Key) -> bool) -> usize {
        let forget = |Part(keys): &Part| {
            let mut keys = keys.write();
            let before = keys.len();
            keys.retain(|key| Arc::strong_count(key) > 1 || !idle(key));
            before - keys.len()
        };
        self.parts.iter().map(forget).sum()
    }

    /// Looks at one of each part, and forgets the first that nobody has and that is `idle`. Answers which.
    pub(crate) fn forget_one(&self, idle: impl Fn(&Key) -> bool) -> Option<QuotaKey> {
        self.parts.iter().find_map(|Part(keys)| {
            let mut keys = keys.write();
            let first = keys.iter().next()?;
            if Arc::strong_count(first) > 1 || !idle(first) {
                return None;
            }
            let name = first.name().clone();
            let hash = self.hasher.hash_one(&name);
            keys.find_entry(hash, |key| *key.name() == name)
                .ok()?
                .remove();
            Some(name)
        })
    }

    /// The table takes the last bits of a hash and the first seven, the part those between.
    const fn part(&self, hash: u64) -> &Part {
        &self.parts[(hash >> 40) as usize % PARTS]
    }
}
