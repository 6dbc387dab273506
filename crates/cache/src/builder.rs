use std::{fmt, sync::Arc};

use tokio::time::Duration;
use tower_bedrock_core::{Fault, FaultKind};

use crate::{
    CacheLayer, Key, Observer,
    flights::Flights,
    layer::{Settings, Shared},
    store::Store,
};

const DEFAULT_MAX_BYTES: u64 = 64 << 20;
const MIN_MAX_BYTES: u64 = 1 << 10;
const DEFAULT_STALE_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Longer than anybody keeps an answer, and short enough for every clock.
const MAX_AGE: Duration = Duration::from_secs(365 * 86_400);

/// Sets up a [`CacheLayer`].
pub struct Builder<K, W> {
    key: K,
    bytes: W,
    max_bytes: u64,
    fresh_for: Duration,
    stale_for: Duration,
    share_in_flight: bool,
    stale_if: Arc<dyn Fn(&Fault) -> bool + Send + Sync>,
    observer: Box<dyn Observer>,
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct InvalidSetting {
    field: &'static str,
    value: String,
    expected: &'static str,
}

impl<K, W> Builder<K, W> {
    pub(crate) fn new(key: K, bytes: W) -> Self {
        Self {
            key,
            bytes,
            max_bytes: DEFAULT_MAX_BYTES,
            fresh_for: Duration::ZERO,
            stale_for: DEFAULT_STALE_FOR,
            share_in_flight: false,
            stale_if: Arc::new(is_no_mistake),
            observer: Box::new(()),
        }
    }

    /// The most memory that kept answers take, in bytes, by the given function and about 128 more each. 64 MiB by
    /// default, 1 KiB at least. Where it is used up, answers that were seldom asked for again go first. One that
    /// takes a third of it or more may not be kept at all.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// How old an answer may be to be served instead of asking. Zero, the default: always asks.
    #[must_use]
    pub const fn fresh_for(mut self, max_age: Duration) -> Self {
        self.fresh_for = max_age;
        self
    }

    /// How old an answer may be to be served when all else has failed. A day by default; zero: never.
    #[must_use]
    pub const fn stale_for(mut self, max_age: Duration) -> Self {
        self.stale_for = max_age;
        self
    }

    /// Has identical calls that are made while one is under way wait for that one, and share its answer. Where it
    /// brings none, and where a call's own deadline comes first, each asks for itself. Off by default: models do
    /// not answer the same twice, and some callers count on that.
    ///
    /// Only answers that come whole are shared: when a stream begins, those who wait for it ask for themselves. A
    /// call waits only for one that somebody polls: don't await two in turn in one task.
    #[must_use]
    pub const fn share_in_flight(mut self, share: bool) -> Self {
        self.share_in_flight = share;
        self
    }

    /// Decides which faults a stale answer may stand in for. By default all but the caller's mistakes and what
    /// is not recognised.
    #[must_use]
    pub fn stale_if(mut self, predicate: impl Fn(&Fault) -> bool + Send + Sync + 'static) -> Self {
        self.stale_if = Arc::new(predicate);
        self
    }

    /// Is told what becomes of calls: for metrics. Nobody is by default.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// The layer, with nothing kept yet.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] names the first setting that is out of its range.
    pub fn build<V: Clone>(self) -> Result<CacheLayer<K, W, V>, InvalidSetting> {
        if self.max_bytes < MIN_MAX_BYTES {
            return Err(InvalidSetting {
                field: "max_bytes",
                value: self.max_bytes.to_string(),
                expected: "at least 1024",
            });
        }
        for (field, age) in [("fresh_for", self.fresh_for), ("stale_for", self.stale_for)] {
            if age > MAX_AGE {
                return Err(InvalidSetting {
                    field,
                    value: format!("{age:?}"),
                    expected: "at most 365 days",
                });
            }
        }
        Ok(CacheLayer {
            shared: Arc::new(Shared {
                key: self.key,
                bytes: self.bytes,
                store: Store::new(self.max_bytes),
                flights: self.share_in_flight.then(Flights::new),
                settings: Settings {
                    fresh_for: self.fresh_for,
                    stale_for: self.stale_for,
                    stale_if: self.stale_if,
                },
                observer: self.observer,
            }),
        })
    }
}

fn is_no_mistake(fault: &Fault) -> bool {
    !fault.kind().is_callers_mistake() && fault.kind() != FaultKind::Unknown
}

impl<K, W> fmt::Debug for Builder<K, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("cache::Builder")
            .field("max_bytes", &self.max_bytes)
            .field("fresh_for", &self.fresh_for)
            .field("stale_for", &self.stale_for)
            .field("share_in_flight", &self.share_in_flight)
            .finish_non_exhaustive()
    }
}

/// Names the types that a layer's functions are for.
impl<K, W, V> CacheLayer<K, W, V> {
    /// Sets a layer up: with the function that says what makes two calls the same (`None`: this one is not to be
    /// kept), and the one that says how many bytes an answer takes.
    pub fn builder<Request>(key: K, bytes: W) -> Builder<K, W>
    where
        K: Fn(&Request) -> Option<Key>,
        W: Fn(&V) -> usize,
    {
        Builder::new(key, bytes)
    }
}
