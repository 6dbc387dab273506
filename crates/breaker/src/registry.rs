//! The breakers of a layer, one for each key and bounded in number.

use std::{convert::Infallible, fmt, sync::Arc};

use parking_lot::{Mutex, RwLock};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter, sync::Cache};
use rand::{Rng, rngs::SmallRng};
use tokio::time::Instant;
use tower_bedrock_core::{Context, Target};

use crate::{
    KeyFn, State,
    breaker::{Breaker, Rules},
    machine::{Command, Refusal},
    permit::Permit,
};

type Breakers<Q> = Cache<Q, Arc<Breaker<Q>>, UnitWeighter, DefaultHashBuilder, Pin>;

/// Kept in a cache that gives up what is asked for least (S3-FIFO): a flood of keys that are named once
/// passes through it without driving out the ones in regular use. On top of that, what must not be forgotten
/// is pinned; see [`Pin`].
pub(crate) struct Registry<K: KeyFn> {
    key_fn: K,
    rules: Arc<Rules<K::Key>>,
    breakers: Breakers<K::Key>,
    /// What an operator said of every key, those not met yet included.
    initial: Arc<RwLock<Command>>,
    /// Each breaker draws its jitter from a generator of its own, seeded from this one.
    seeds: Mutex<SmallRng>,
}

/// Keeps a breaker in the cache while it is open, set by an operator, or in use by a call or a service.
#[derive(Clone)]
struct Pin {
    initial: Arc<RwLock<Command>>,
}

impl<K: KeyFn> Registry<K> {
    pub(crate) fn new(key_fn: K, rules: Rules<K::Key>, max_keys: usize, seeds: SmallRng) -> Self {
        // One shard: of several, one could be full of what is pinned while others have room, and the whole has to be
        // bounded. Most calls ask for the breaker that they asked last, and don't come here.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(max_keys)
            .weight_capacity(max_keys as u64)
            .shards(1)
            .build()
            .expect("both capacities are set");
        let initial = Arc::new(RwLock::new(Command::Close));
        let pin = Pin {
            initial: Arc::clone(&initial),
        };
        Self {
            key_fn,
            rules: Arc::new(rules),
            breakers: Cache::with_options(
                options,
                UnitWeighter,
                DefaultHashBuilder::default(),
                pin,
            ),
            initial,
            seeds: Mutex::new(seeds),
        }
    }

    pub(crate) const fn key_fn(&self) -> &K {
        &self.key_fn
    }

    /// Asks for a call to pass. `recent` is the breaker that the caller asked last, which most often is the
    /// one to ask again and saves looking for it.
    ///
    /// `Ok(None)` lets a call pass for whose key there is no place: every breaker is pinned.
    #[inline]
    pub(crate) fn admit(
        &self,
        recent: &mut Option<Arc<Breaker<K::Key>>>,
        target: &Target,
        context: &Context,
    ) -> Result<Option<Permit<K::Key>>, Refusal> {
        let key = self.key_fn.key(target, context);
        if !recent.as_ref().is_some_and(|recent| recent.key() == &*key) {
            *recent = self
                .breakers
                .get(&*key)
                .or_else(|| self.insert_if_there_is_room(&key));
        }
        match recent {
            Some(breaker) => breaker.admit(Instant::now).map(Some),
            None if *self.initial.read() == Command::ForceOpen => Err(Refusal {
                state: State::ForcedOpen,
                retry_after: None,
            }),
            None => Ok(None),
        }
    }

    /// The breaker of a key, if there is one. Doesn't count as use.
    pub(crate) fn peek(&self, key: &K::Key) -> Option<Arc<Breaker<K::Key>>> {
        self.breakers.peek(key)
    }

    /// The state of a key without a breaker.
    pub(crate) fn initial_state(&self) -> State {
        self.initial.read().state()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Arc<Breaker<K::Key>>> {
        self.breakers.iter().map(|(_, breaker)| breaker)
    }

    /// An operator speaks of one key. There is always room for that.
    pub(crate) fn command(&self, key: &K::Key, command: Command) {
        self.find_or_insert(key).0.command(command);
    }

    /// An operator speaks of every key, those to come included.
    pub(crate) fn command_all(&self, command: Command) {
        *self.initial.write() = match command {
            // A new breaker has nothing to reset.
            Command::Reset => Command::Close,
            command => command,
        };
        // Collected first: observers run meanwhile, and may ask the cache.
        let breakers: Vec<_> = self.iter().collect();
        for breaker in breakers {
            breaker.command(command);
        }
    }

    #[cold]
    fn insert_if_there_is_room(&self, key: &K::Key) -> Option<Arc<Breaker<K::Key>>> {
        let (breaker, inserted) = self.find_or_insert(key);
        // The cache grows where nothing can be evicted. What nobody else has got hold of can be taken out
        // again: one reference is the cache's and one is ours.
        if inserted
            && self.breakers.weight() > self.breakers.capacity()
            && self
                .breakers
                .remove_if(key, |breaker| Arc::strong_count(breaker) == 2)
                .is_some()
        {
            return None;
        }
        Some(breaker)
    }

    fn find_or_insert(&self, key: &K::Key) -> (Arc<Breaker<K::Key>>, bool) {
        let mut made = None;
        let Ok(breaker) = self.breakers.get_or_insert_with(key, || {
            let initial = *made.insert(*self.initial.read());
            let seed = self.seeds.lock().next_u64();
            let rules = Arc::clone(&self.rules);
            Ok::<_, Infallible>(Arc::new(Breaker::new(key.clone(), rules, seed, initial)))
        });
        // A command for every key that came in between missed this one.
        let initial = *self.initial.read();
        if made.is_some_and(|made| made != initial) {
            breaker.command(initial);
        }
        (breaker, made.is_some())
    }
}

impl<K: KeyFn> fmt::Debug for Registry<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("config", &self.rules.config)
            .field("breakers", &self.breakers.len())
            .field("initial", &self.initial_state())
            .finish_non_exhaustive()
    }
}

// === impl Pin ===

impl<Q> Lifecycle<Q, Arc<Breaker<Q>>> for Pin {
    type RequestState = ();

    fn is_pinned(&self, _: &Q, breaker: &Arc<Breaker<Q>>) -> bool {
        // A permit, or a service that asked it last, holds another reference. None can be made meanwhile:
        // the cache asks this with its lock held.
        Arc::strong_count(breaker) > 1 || !breaker.is_idle(*self.initial.read(), Instant::now())
    }

    fn begin_request(&self) {}
}
