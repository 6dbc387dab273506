use std::{collections::HashMap, fmt, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Answer, Renewal, StoreError, ledger::Ledger};

/// An answer that is on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, StoreError>> + Send + 'a>>;

/// Where the processes of a fleet meet: [`RedisStore`](super::RedisStore), or [`MemoryStore`] within one
/// process. A wrapper around one can count, delay or lose what passes.
pub trait Store: Send + Sync + 'static {
    /// Renews a member's lease on one key. The worker gives it a time limit, and drops it when that is over.
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
        self.shared.state.lock().keys.clear();
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
