//! The keys that are kept count of, to be found by whoever calls them.

use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::RwLock;
use tower_bedrock_core::Target;

use crate::{QuotaKey, key::Key};

/// In several parts with a lock each: calls to different keys don't wait for one another, nor does the memory of
/// one lock go to and fro between them.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    parts: [Part; PARTS],
}

/// As large as what processors pass to one another at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(RwLock<HashTable<Entry>>);

#[derive(Debug)]
struct Entry {
    /// The one it was first called by. Its clones are told by their address; other targets may have the same key.
    target: Target,
    key: Arc<Key>,
}

const PARTS: usize = 16;

impl Keys {
    /// The key of a target, where it is there.
    pub(crate) fn find(&self, target: &Target) -> Option<Arc<Key>> {
        let hash = QuotaKey::hash_of(target);
        let keys = self.part(hash).0.read();
        let entry = keys.find(hash, |Entry { target: first, key }| {
            first == target || key.name().is_of(target)
        });
        entry.map(|entry| Arc::clone(&entry.key))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Key>> {
        let of_part = |Part(keys): &Part| -> Vec<_> {
            let keys = keys.read();
            keys.iter().map(|entry| Arc::clone(&entry.key)).collect()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Adds a target's key, which is not there.
    pub(crate) fn insert(&self, target: Target, key: Arc<Key>) {
        let hash = key.name().hash();
        let mut keys = self.part(hash).0.write();
        let entry = Entry { target, key };
        keys.insert_unique(hash, entry, |entry| entry.key.name().hash());
    }

    /// Forgets those that nobody has and that are `idle`, and answers how many. A key is handed out under the lock
    /// that is held here, so who has none now gets none meanwhile.
    pub(crate) fn forget(&self, idle: impl Fn(&Key) -> bool) -> usize {
        let forget = |Part(keys): &Part| {
            let mut keys = keys.write();
            let before = keys.len();
            keys.retain(|Entry { key, .. }| Arc::strong_count(key) > 1 || !idle(key));
            before - keys.len()
        };
        self.parts.iter().map(forget).sum()
    }

    /// Looks at one of each part, and forgets the first that nobody has and that is `idle`. Answers which.
    pub(crate) fn forget_one(&self, idle: impl Fn(&Key) -> bool) -> Option<QuotaKey> {
        self.parts.iter().find_map(|Part(keys)| {
            let mut keys = keys.write();
            let first = &keys.iter().next()?.key;
            if Arc::strong_count(first) > 1 || !idle(first) {
                return None;
            }
            let name = first.name().clone();
            keys.find_entry(name.hash(), |entry| *entry.key.name() == name)
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
