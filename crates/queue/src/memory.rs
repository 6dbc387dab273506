use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

use crate::{
    DeadLetter, Delivery, Message, Queue, Results,
    line::{Id, LeaseLost, Line, LocalReceipt},
    wait::{until, until_so},
};

/// A queue in memory: for tests, and for work that may be lost with its process. Keeps results too.
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_queue::{MemoryQueue, Message, Queue};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = MemoryQueue::new();
/// queue.send(Message::new("a", "work"));
///
/// // Leased for a minute, and not settled: it comes back.
/// queue.receive(1, Duration::from_secs(60)).await?;
/// let deliveries = queue.receive(1, Duration::from_secs(60)).await?;
/// assert_eq!(deliveries[0].attempts, 2);
/// # Ok(())
/// # }
/// ```
///
/// Grows with what is sent and with the results that are kept; nothing is ever refused.
///
/// # Clone
///
/// Clones are one queue.
#[derive(Clone, Default)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    line: Line,
    sent: Id,
    messages: BTreeMap<Id, Kept>,
    results: HashMap<String, Bytes>,
    dead: Vec<(Message, DeadLetter)>,
}

struct Kept {
    message: Message,
    attempts: u32,
}

impl MemoryQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message at the end.
    pub fn send(&self, message: Message) {
        let mut state = self.shared.state.lock();
        let id = state.sent;
        state.sent += 1;
        let attempts = 0;
        state.messages.insert(id, Kept { message, attempts });
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// How many messages are neither completed nor set aside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.state.lock().messages.len()
    }

    /// Whether all messages are completed or set aside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until all messages are completed or set aside: what a worker that is to end runs until.
    pub async fn drained(&self) {
        until_so(&self.shared.changed, || self.is_empty()).await;
    }

    /// The result kept under a key.
    #[must_use]
    pub fn result(&self, key: &str) -> Option<Bytes> {
        self.shared.state.lock().results.get(key).cloned()
    }

    /// What was set aside, in the order it was.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<(Message, DeadLetter)> {
        self.shared.state.lock().dead.clone()
    }

    fn take(&self, max: usize, visibility: Duration) -> Vec<Delivery<LocalReceipt>> {
        let now = Instant::now();
        let state = &mut *self.shared.state.lock();
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let sent = state.sent;
            let next = |at| Ok::<_, Infallible>((at < sent).then_some(at));
            let Ok(taken) = state.line.take(now, visibility, next);
            let Some(receipt) = taken else { break };
            // What is settled has left the line.
            let Some(kept) = state.messages.get_mut(&receipt.id) else {
                continue;
            };
            kept.attempts += 1;
            deliveries.push(Delivery {
                message: kept.message.clone(),
                receipt,
                attempts: kept.attempts,
            });
        }
        deliveries
    }
}

impl Queue for MemoryQueue {
    type Receipt = LocalReceipt;
    type Error = LeaseLost;

    /// # Cancel safety
    ///
    /// Leases nothing that it does not answer with.
    async fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<LocalReceipt>>, LeaseLost> {
        loop {
            let changed = self.shared.changed.notified();
            let deliveries = self.take(max.max(1), visibility);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            let next_change = self.shared.state.lock().line.next_change();
            until(next_change, changed).await;
        }
    }

    async fn extend(&self, receipt: &LocalReceipt, visibility: Duration) -> Result<(), LeaseLost> {
        let mut state = self.shared.state.lock();
        state.line.extend(*receipt, Instant::now(), visibility)
    }

    async fn complete(&self, receipt: LocalReceipt) -> Result<(), LeaseLost> {
        let mut state = self.shared.state.lock();
        state.line.end(receipt)?;
        state.messages.remove(&receipt.id);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn give_back(
        &self,
        receipt: LocalReceipt,
        after: Duration,
        counted: bool,
    ) -> Result<(), LeaseLost> {
        let mut state = self.shared.state.lock();
        state.line.give_back(receipt, Instant::now(), after)?;
        if let Some(kept) = state.messages.get_mut(&receipt.id).filter(|_| !counted) {
            kept.attempts = kept.attempts.saturating_sub(1);
        }
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn dead_letter(
        &self,
        receipt: LocalReceipt,
        message: Message,
        why: DeadLetter,
    ) -> Result<(), LeaseLost> {
        let mut state = self.shared.state.lock();
        state.line.end(receipt)?;
        state.messages.remove(&receipt.id);
        state.dead.push((message, why));
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }
}

impl Results for MemoryQueue {
    type Error = Infallible;

    async fn has(&self, key: &str) -> Result<bool, Infallible> {
        Ok(self.shared.state.lock().results.contains_key(key))
    }

    async fn put(&self, key: &str, result: Bytes) -> Result<(), Infallible> {
        let mut state = self.shared.state.lock();
        state.results.insert(key.to_owned(), result);
        Ok(())
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
