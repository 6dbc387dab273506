use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, OnceLock},
};

use parking_lot::RwLock;

/// The most keys that get labels of their own without having been reserved.
pub(crate) const MAX_KEYS: usize = 256;

/// What a key beyond [`MAX_KEYS`] is labelled with. A client can name as many models as it likes; a recorder
/// keeps every label it was ever given.
pub(crate) const OTHER: &str = "other";

/// Handles by key, as many as [`MAX_KEYS`]. All further keys share one more.
#[derive(Debug)]
pub(crate) struct Bounded<K, H> {
    by_key: RwLock<HashMap<K, Arc<H>>>,
    /// Of all keys that find no place.
    other: OnceLock<Arc<H>>,
}

impl<K, H> Default for Bounded<K, H> {
    fn default() -> Self {
        Self {
            by_key: RwLock::default(),
            other: OnceLock::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, H> Bounded<K, H> {
    /// The handles of a key. `new` makes them, of the key or, where there is no place for it, of nothing.
    pub(crate) fn get(&self, key: &K, new: impl Fn(Option<&K>) -> H) -> Arc<H> {
        let known = self.by_key.read().get(key).cloned();
        // Once there is one, the table is full and stays so.
        known
            .or_else(|| self.other.get().cloned())
            .unwrap_or_else(|| self.insert(key, new))
    }

    /// Gives a key a place of its own, however many have one: it is the operator who names it, and not a client.
    pub(crate) fn reserve(&self, key: &K, new: impl Fn(Option<&K>) -> H) -> Arc<H> {
        let mut by_key = self.by_key.write();
        let handles = by_key.entry(key.clone());
        Arc::clone(handles.or_insert_with(|| Arc::new(new(Some(key)))))
    }

    #[cold]
    fn insert(&self, key: &K, new: impl Fn(Option<&K>) -> H) -> Arc<H> {
        let mut by_key = self.by_key.write();
        if by_key.len() < MAX_KEYS {
            let handles = by_key.entry(key.clone());
            Arc::clone(handles.or_insert_with(|| Arc::new(new(Some(key)))))
        } else {
            drop(by_key);
            Arc::clone(self.other.get_or_init(|| Arc::new(new(None))))
        }
    }
}
