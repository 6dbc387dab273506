use std::{fmt, sync::Arc};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Degraded, Fault, History, Target};
use tower_layer::Layer;

use crate::{Cache, Cacheable, Key, Responder, flights::Flights, store::Store};

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
    pub(crate) flights: Option<Flights>,
    pub(crate) settings: Settings,
}

pub(crate) struct Settings {
    pub(crate) fresh_for: Duration,
    pub(crate) stale_for: Duration,
    pub(crate) stale_if: Arc<dyn Fn(&Fault) -> bool + Send + Sync>,
}

impl<K, W, V> CacheLayer<K, W, V> {
    /// The kept answers as a service of their own: the last hop of a fallback chain. It answers with what is kept
    /// and not too old, or with [`NotKept`](crate::NotKept).
    ///
    /// It keeps nothing itself: put the layer around the fallback as well.
    #[must_use]
    pub fn responder<R: Cacheable<Kept = V>>(&self) -> Responder<K, W, R> {
        Responder::new(Arc::clone(&self.shared))
    }

    /// Forgets every answer.
    pub fn clear(&self)
    where
        V: Clone,
    {
        self.shared.store.clear();
    }
}

impl<K, W, V: Clone> Shared<K, W, V> {
    /// A kept answer to serve instead of asking.
    pub(crate) fn fresh<R: Cacheable<Kept = V>>(&self, key: &Key) -> Option<R> {
        let max_age = self.settings.fresh_for;
        if max_age.is_zero() {
            return None;
        }
        let (kept, _) = self.store.find(key, max_age, Instant::now())?;
        Some(R::again(kept))
    }

    /// What a call brought that was under way when the same one was made, at `since`.
    pub(crate) fn kept_since<R: Cacheable<Kept = V>>(
        &self,
        key: &Key,
        since: Instant,
    ) -> Option<R> {
        let now = Instant::now();
        let max_age = now.saturating_duration_since(since);
        let (kept, _) = self.store.find(key, max_age, now)?;
        Some(R::again(kept))
    }

    /// A kept answer to stand in for one that failed.
    pub(crate) fn stale<R: Cacheable<Kept = V>>(&self, key: &Key) -> Option<R> {
        let max_age = self.settings.stale_for;
        if max_age.is_zero() {
            return None;
        }
        let now = Instant::now();
        let Some((kept, age)) = self.store.find(key, max_age, now) else {
            self.store
                .expire(key, max_age.max(self.settings.fresh_for), now);
            return None;
        };
        let mut answer = R::again(kept);
        if let Some(history) = answer.history_mut() {
            history.degraded = Some(Degraded::with_age(age));
        }
        Some(answer)
    }
}

/// Whether an answer is that of the model that was asked. Stand-ins are not kept.
pub(crate) fn is_genuine(asked: &Target, history: Option<&History>) -> bool {
    history.is_none_or(|history| {
        let served_by = history
            .served_by
            .as_ref()
            .map(|target| target.model().base());
        history.degraded.is_none() && served_by.is_none_or(|model| model == asked.model().base())
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
