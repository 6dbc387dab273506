use std::{fmt, sync::Arc};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Degraded, Fault, History, Target};
use tower_layer::Layer;

use crate::{
    Cache, Cacheable, Key, Observer, Responder, flights::Flights, key::identity, store::Store,
};

/// Keeps the answers of a service, and serves them again. See the [crate's documentation](crate) for an example.
///
/// # Clone
///
/// Clones, and all services made by them, share what is kept.
pub struct CacheLayer<K, W, V> {
    pub(crate) shared: Arc<Shared<K, W, V>>,
}

pub(crate) struct Shared<K, W, V> {
    pub(crate) key: K,
    pub(crate) bytes: W,
    pub(crate) store: Store<V>,
    /// Where identical calls share one answer.
    pub(crate) flights: Option<Flights<V>>,
    pub(crate) settings: Settings,
    pub(crate) observer: Box<dyn Observer>,
}

pub(crate) struct Settings {
    pub(crate) fresh_for: Duration,
    pub(crate) stale_for: Duration,
    pub(crate) stale_if: Arc<dyn Fn(&Fault) -> bool + Send + Sync>,
}

impl<K, W, V> CacheLayer<K, W, V> {
    /// The kept answers as a service of their own: the last hop of a fallback chain. It answers with what is kept
    /// and not too old, or with [`NotKept`](crate::NotKept); where a canned answer is better than that, with tower's
    /// `responder.map_result(move |kept| Ok::<_, NotKept>(kept.unwrap_or_else(canned)))`.
    ///
    /// It keeps nothing itself: put the layer around the fallback as well. There the layer stands in for what fails, too,
    /// which only makes a difference where the fallback leaves an error to the caller that the layer does not; with
    /// [`stale_if`](crate::Builder::stale_if) of `|_| false` it keeps and does nothing else.
    #[must_use]
    pub fn responder<R: Cacheable<Kept = V>>(&self) -> Responder<K, W, R> {
        Responder::new(Arc::clone(&self.shared))
    }

    /// Forgets every answer that is kept. Those of calls under way are kept when they come.
    pub fn clear(&self)
    where
        V: Clone,
    {
        self.shared.store.clear();
    }
}

impl<K, W, V: Clone> Shared<K, W, V> {
    /// A kept answer to serve instead of asking.
    pub(crate) fn fresh<R: Cacheable<Kept = V>>(&self, key: &Key, target: &Target) -> Option<R> {
        let (kept, age) = self.find(key, self.settings.fresh_for)?;
        self.observer.hit(target, age);
        Some(R::again(kept))
    }

    /// A kept answer to stand in for one that failed.
    pub(crate) fn stale<R: Cacheable<Kept = V>>(
        &self,
        key: &Key,
        target: &Target,
        fault: Option<Fault>,
    ) -> Option<R> {
        let (kept, age) = self.find(key, self.settings.stale_for)?;
        self.observer.stood_in(target, age, fault);
        let mut answer = R::again(kept);
        if let Some(history) = answer.history_mut() {
            history.degraded = Some(Degraded::with_age(age));
        }
        Some(answer)
    }

    /// Zero is never, not this very instant.
    fn find(&self, key: &Key, max_age: Duration) -> Option<(V, Duration)> {
        let found = self
            .store
            .find(key, self.settings.longest(), Instant::now());
        found.filter(|(_, age)| !max_age.is_zero() && *age <= max_age)
    }

    /// Keeps an answer, where anybody could get it again.
    pub(crate) fn keep(&self, key: Key, answer: V)
    where
        W: Fn(&V) -> usize,
    {
        if !self.settings.longest().is_zero() {
            let bytes = (self.bytes)(&answer);
            self.store.keep(key, answer, bytes, Instant::now());
        }
    }
}

impl Settings {
    /// After so long nobody is given an answer any more.
    fn longest(&self) -> Duration {
        self.fresh_for.max(self.stale_for)
    }
}

/// Whether an answer is that of the model that was asked. Stand-ins are not kept.
pub(crate) fn is_genuine(asked: &Target, history: Option<&History>) -> bool {
    history.is_none_or(|history| {
        let served_by = history.served_by.as_ref();
        history.degraded.is_none()
            && served_by.is_none_or(|target| identity(target.model()) == identity(asked.model()))
    })
}

impl<S, K, W, V> Layer<S> for CacheLayer<K, W, V> {
    type Service = Cache<S, K, W, V>;

    fn layer(&self, inner: S) -> Self::Service {
        Cache {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Not derived: that would ask for `K: Clone`, `W: Clone` and `V: Clone`, which are shared.
impl<K, W, V> Clone for CacheLayer<K, W, V> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K, W, V: Clone> fmt::Debug for CacheLayer<K, W, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("store", &self.shared.store)
            .field("fresh_for", &self.shared.settings.fresh_for)
            .field("stale_for", &self.shared.settings.stale_for)
            .field("shares_in_flight", &self.shared.flights.is_some())
            .finish_non_exhaustive()
    }
}
