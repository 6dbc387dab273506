use std::{
    fmt,
    hash::{BuildHasher, Hash},
    sync::{Arc, OnceLock},
};

use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;

/// The most keys that get labels of their own without having been reserved.
pub(crate) const MAX_KEYS: usize = 256;

/// The most keys that are given theirs beforehand.
const MAX_RESERVED: usize = 2 * MAX_KEYS;

/// What a key beyond [`MAX_KEYS`] is labelled with. A client can name as many models as it likes; a recorder
/// keeps every label it was ever given.
pub(crate) const OTHER: &str = "other";

/// Handles by key, as many as [`MAX_KEYS`] and those that were reserved. All further keys share one more.
///
/// A key keeps its place for ever, so that looking it up takes no lock and writes nothing: calls to different
/// targets don't touch one another's memory.
pub(crate) struct Bounded<K, H> {
    hasher: DefaultHashBuilder,
    /// A key stands at the first place from its hash on that was free. A quarter of the places stay so.
    places: Box<[Place<K, H>]>,
    /// How many have a key, changed with the key.
    taken: Mutex<Taken>,
    /// Of all keys that find no place.
    other: OnceLock<Arc<H>>,
}

type Place<K, H> = OnceLock<(K, Arc<H>)>;

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    reserved: usize,
    others: usize,
}

/// A power of two, so that the place of a hash is a mask away.
const PLACES: usize = 4 * MAX_KEYS;

impl<K, H> Default for Bounded<K, H> {
    fn default() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            places: (0..PLACES).map(|_| OnceLock::new()).collect(),
            taken: Mutex::default(),
            other: OnceLock::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, H> Bounded<K, H> {
    /// The handles of a key. `new` makes them, of the key or, where there is no place for it, of nothing.
    pub(crate) fn get(&self, key: &K, new: impl Fn(Option<&K>) -> H) -> &Arc<H> {
        match self.find(key) {
            Ok(handles) => handles,
            // Once there is one, the table is full and stays so.
            Err(_) => self.other.get().unwrap_or_else(|| self.insert(key, new)),
        }
    }

    /// The handles of a key, or the place where they would be.
    #[inline]
    fn find(&self, key: &K) -> Result<&Arc<H>, &Place<K, H>> {
        let mut at = self.hasher.hash_one(key) as usize;
        loop {
            let place = &self.places[at % PLACES];
            match place.get() {
                Some((known, handles)) if known == key => return Ok(handles),
                Some(_) => at = at.wrapping_add(1),
                None => return Err(place),
            }
        }
    }

    /// Gives a key a place of its own, however many clients have named: it is the operator who names it. Beyond
    /// [`MAX_RESERVED`] it is as any other.
    pub(crate) fn reserve(&self, key: &K, new: impl Fn(Option<&K>) -> H) -> &Arc<H> {
        self.place(key, &new, |taken| &mut taken.reserved, MAX_RESERVED)
            .unwrap_or_else(|| self.get(key, new))
    }

    #[cold]
    fn insert(&self, key: &K, new: impl Fn(Option<&K>) -> H) -> &Arc<H> {
        self.place(key, &new, |taken| &mut taken.others, MAX_KEYS)
            .unwrap_or_else(|| self.other.get_or_init(|| Arc::new(new(None))))
    }

    /// The key's handles, made where they are counted and fewer than `most` are.
    fn place(
        &self,
        key: &K,
        new: &impl Fn(Option<&K>) -> H,
        counted: fn(&mut Taken) -> &mut usize,
        most: usize,
    ) -> Option<&Arc<H>> {
        let mut taken = self.taken.lock();
        let count = counted(&mut taken);
        // Somebody may have been quicker.
        match self.find(key) {
            Ok(handles) => Some(handles),
            Err(place) if *count < most => {
                *count += 1;
                let (_, handles) = place.get_or_init(|| (key.clone(), Arc::new(new(Some(key)))));
                Some(handles)
            }
            Err(_) => None,
        }
    }
}

impl<K: fmt::Debug, H: fmt::Debug> fmt::Debug for Bounded<K, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.places.iter().filter_map(OnceLock::get);
        f.debug_map()
            .entries(taken.map(|(key, handles)| (key, handles)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: Option<&u32>) -> String {
        key.map_or_else(|| OTHER.to_owned(), u32::to_string)
    }

    #[test]
    fn a_key_keeps_its_handles_and_the_last_ones_share_theirs() {
        let bounded = Bounded::default();
        let first: Vec<_> = (0..MAX_KEYS as u32)
            .map(|key| Arc::clone(bounded.get(&key, named)))
            .collect();
        for key in 0..10 * MAX_KEYS as u32 {
            let handles = bounded.get(&key, named);
            match first.get(key as usize) {
                Some(known) => assert!(Arc::ptr_eq(handles, known), "{key}"),
                None => assert_eq!(**handles, OTHER, "{key}"),
            }
        }
    }

    #[test]
    fn what_is_reserved_has_its_place_though_clients_have_taken_theirs() {
        let bounded = Bounded::default();
        let reserved = 100_000..100_000 + MAX_RESERVED as u32;
        for key in reserved.clone().skip(1) {
            assert_eq!(**bounded.reserve(&key, named), key.to_string());
        }
        for key in 0..10 * MAX_KEYS as u32 {
            bounded.get(&key, named);
        }
        assert_eq!(**bounded.get(&reserved.start, named), OTHER);
        bounded.reserve(&reserved.start, named);
        for key in reserved {
            assert_eq!(**bounded.get(&key, named), key.to_string());
        }
    }

    #[test]
    fn too_many_reserved_take_the_places_of_others() {
        let bounded = Bounded::default();
        let most = (MAX_RESERVED + MAX_KEYS) as u32;
        for key in 0..most {
            assert_eq!(**bounded.reserve(&key, named), key.to_string());
        }
        assert_eq!(**bounded.reserve(&most, named), OTHER);
    }

    #[test]
    fn threads_that_name_a_key_together_get_the_same_handles() {
        let bounded = Bounded::default();
        let all: Vec<Vec<_>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).map(|key| bounded.get(&key, named)).collect()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let [first, others @ ..] = &all[..] else {
            unreachable!("there are four threads")
        };
        for (key, handles) in first.iter().enumerate() {
            for thread in others {
                assert!(Arc::ptr_eq(thread[key], handles), "{key}");
            }
        }
    }
}
