use std::{collections::HashMap, fmt, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Answer, Renewal, StoreError, day::DayLedger, ledger::Ledger};

/// An answer that is on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, StoreError>> + Send + 'a>>;

/// Where the processes of a fleet meet: [`RedisStore`](super::RedisStore), or [`MemoryStore`] within one
/// process. A wrapper around one can count, delay or lose what passes.
pub trait Store: Send + Sync + 'static {
    /// Renews a member's lease on one key: a quota's limits of a minute, or a Region's tokens a day. The worker gives it a time limit, and drops it when that is over.
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a>;
}

/// A store in memory, by the same arithmetic as Redis's script: for limiters of one process, for tests and
/// simulations.
///
/// # Clone
///
/// Clones are one store.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: HashMap<String, Ledger>,
    days: HashMap<String, DayLedger>,
    round_trips: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                start: Instant::now(),
                state: Mutex::default(),
            }),
        }
    }

    /// Forgets everything, as Redis does after `FLUSHALL`.
    pub fn flush(&self) {
        let mut state = self.shared.state.lock();
        state.keys.clear();
        state.days.clear();
    }

    /// How often it was asked.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.shared.state.lock().round_trips
    }
}

impl Store for MemoryStore {
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a> {
        Box::pin(async move {
            // From one on: at zero nothing is born.
            let now = self.shared.start.elapsed().as_millis() as u64 + 1;
            let mut state = self.shared.state.lock();
            state.round_trips += 1;
            if let Some(claim) = &renewal.day {
                if state.days.len() == state.days.capacity() && !state.days.contains_key(key) {
                    state.days.retain(|_, ledger| !ledger.is_forgotten(now));
                }
                let ledger = state.days.entry(key.to_owned()).or_default();
                return ledger.renew(now, renewal, claim);
            }
            if state.keys.len() == state.keys.capacity() && !state.keys.contains_key(key) {
                state.keys.retain(|_, ledger| !ledger.is_forgotten(now));
            }
            let ledger = state.keys.entry(key.to_owned()).or_default();
            ledger.renew(now, renewal)
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
