use std::{fmt, sync::Arc};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Context, Demand, Headroom, Target};

use crate::{KeyFn, PerTarget, Snapshot, State, machine::Command, registry::Registry};

/// A handle on the breakers of a layer: what an operator sees and commands, and what other policies ask.
///
/// ```
/// use tower_bedrock_breaker::{CircuitBreakerLayer, State};
/// use tower_bedrock_core::Target;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = CircuitBreakerLayer::builder().build()?;
/// let handle = layer.handle();
///
/// let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
/// handle.force_open(&target);
/// assert_eq!(handle.state(&target), State::ForcedOpen);
/// handle.close(&target);
/// assert_eq!(handle.state(&target), State::Closed);
/// # Ok(())
/// # }
/// ```
///
/// A command takes effect for every call that is made after it returns. Calls under way go on, and their
/// outcomes don't count. The commands that end in `_all` speak of every key, those to come included.
///
/// # Clone
///
/// Clones speak of the same breakers. A handle doesn't keep services alive, but does keep the breakers.
pub struct CircuitBreakerHandle<K: KeyFn = PerTarget> {
    registry: Arc<Registry<K>>,
}

impl<K: KeyFn> CircuitBreakerHandle<K> {
    pub(crate) const fn new(registry: Arc<Registry<K>>) -> Self {
        Self { registry }
    }

    /// The state of a key's breaker. A key that hasn't been called is closed, or as the last command for all
    /// keys left it.
    ///
    /// A breaker becomes half-open when a call comes after the open interval, so one without calls stays
    /// [open](State::Open) with nothing left of its interval.
    #[must_use]
    pub fn state(&self, key: &K::Key) -> State {
        match self.registry.peek(key) {
            Some(breaker) => breaker.state(),
            None => self.registry.initial_state(),
        }
    }

    /// What a key's breaker knows at the moment; `None` for a key that hasn't been called, or so long ago that
    /// it was forgotten.
    #[must_use]
    pub fn snapshot(&self, key: &K::Key) -> Option<Snapshot> {
        let breaker = self.registry.peek(key)?;
        Some(breaker.snapshot(Instant::now()))
    }

    /// What every breaker knows at the moment, in no particular order.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(K::Key, Snapshot)> {
        let now = Instant::now();
        self.registry
            .iter()
            .map(|breaker| (breaker.key().clone(), breaker.snapshot(now)))
            .collect()
    }

    /// Turns a key's calls away until told otherwise.
    pub fn force_open(&self, key: &K::Key) {
        self.registry.command(key, Command::ForceOpen);
    }

    /// Closes a key's breaker, whatever state it is in, with an empty window. A closed one stays as it is.
    pub fn close(&self, key: &K::Key) {
        self.registry.command(key, Command::Close);
    }

    /// Closes a key's breaker and empties its window and its counts, even where it is closed already.
    pub fn reset(&self, key: &K::Key) {
        self.registry.command(key, Command::Reset);
    }

    /// Lets a key's calls pass uncounted until told otherwise.
    pub fn disable(&self, key: &K::Key) {
        self.registry.command(key, Command::Disable);
    }

    /// Lets a key's calls pass and counts them, and only reports when the breaker would have opened.
    pub fn metrics_only(&self, key: &K::Key) {
        self.registry.command(key, Command::MetricsOnly);
    }

    /// Turns all calls away until told otherwise.
    pub fn force_open_all(&self) {
        self.registry.command_all(Command::ForceOpen);
    }

    /// Closes every breaker. What is closed already stays as it is.
    pub fn close_all(&self) {
        self.registry.command_all(Command::Close);
    }

    /// Closes every breaker and empties their windows and counts.
    pub fn reset_all(&self) {
        self.registry.command_all(Command::Reset);
    }

    /// Lets all calls pass uncounted until told otherwise.
    pub fn disable_all(&self) {
        self.registry.command_all(Command::Disable);
    }

    /// Lets all calls pass and counts them, and only reports when a breaker would have opened.
    pub fn metrics_only_all(&self) {
        self.registry.command_all(Command::MetricsOnly);
    }
}

/// The time until the breaker of the target's key could let a call pass, as in
/// [`Open::retry_after`](crate::Open::retry_after); [`Duration::MAX`] where it is forced open. Asking makes no
/// breaker and takes no probe's place.
impl<K: KeyFn> Headroom for CircuitBreakerHandle<K> {
    fn time_to_serve(&self, target: &Target, _: &Demand, context: &Context) -> Duration {
        let key = self.registry.key_fn().key(target, context);
        match self.registry.peek(&key) {
            Some(breaker) => breaker.retry_after(Instant::now()).unwrap_or(Duration::MAX),
            None if self.registry.initial_state() == State::ForcedOpen => Duration::MAX,
            None => Duration::ZERO,
        }
    }
}

// Not derived: that would ask `K: Clone`.
impl<K: KeyFn> Clone for CircuitBreakerHandle<K> {
    fn clone(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
        }
    }
}

impl<K: KeyFn> fmt::Debug for CircuitBreakerHandle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreakerHandle")
            .field(&self.registry)
            .finish()
    }
}
