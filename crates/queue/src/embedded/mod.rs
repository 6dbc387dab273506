mod file;
mod group;
mod queue;
mod tables;
mod taking;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::{sync::Notify, task::spawn_blocking};

use self::{file::File, group::Pending, tables::Tables};
use crate::{
    Message,
    line::{Id, LeaseLost, Line},
    wait::until_so,
};

/// A durable queue in one file, for one machine: messages, results and what was set aside. On
/// [redb](https://docs.rs/redb).
///
/// ```
/// use tower_bedrock_queue::{EmbeddedQueue, Message};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("batch.queue");
/// let queue = EmbeddedQueue::open(&path)?;
/// assert!(queue.send(Message::new("a", "work")).await?);
/// // The same work again: it is there already.
/// assert!(!queue.send(Message::new("a", "work")).await?);
/// assert_eq!(queue.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # What is on disk when
///
/// Every method that changes something answers after an `fsync`: what was sent, kept, completed, set aside or
/// attempted survives the process and the machine. Changes that come at once share one `fsync`, so many workers'
/// messages cost little more than one's.
///
/// Leases and delays are in memory: the file is one process's at a time, so when it is opened nobody holds
/// anything, and all that is left may be received at once. Attempts of a process that died count. A receipt that is
/// dropped before it is answered was none: what it had leased goes back.
///
/// A key that is in the queue, or whose result is kept, is not added again. Results stay until they are
/// [removed](Self::remove_result).
///
/// # When the disk fails
///
/// What could not be written is answered with [`EmbeddedError::Store`], and the file is opened anew for what comes after;
/// so a [`Worker`](crate::Worker) holds an answer that a full disk has no room for, and keeps it once there is some.
///
/// # Runtime
///
/// Its methods use Tokio's threads for blocking work, so they need a Tokio runtime.
///
/// # Clone
///
/// Clones are one queue. The file is closed when the last is dropped.
#[derive(Clone)]
pub struct EmbeddedQueue {
    shared: Arc<Shared>,
}

struct Shared {
    file: File,
    pending: Pending,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    line: Line,
    /// The place of the next message.
    end: Id,
    left: u64,
}

/// What was set aside.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// The message.
    pub message: Message,
    /// Why, as [`Cause::as_str`](crate::Cause::as_str) names it.
    pub cause: String,
    /// How often it was attempted.
    pub attempts: u32,
    /// What the codec had to say.
    pub detail: Option<Bytes>,
}

/// Why an embedded queue cannot do what it is asked to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The file cannot be read or written, or another process has it.
    #[error("the queue's file: {0}")]
    Store(#[source] Arc<redb::Error>),
    /// The file was written by another version of this program, or by another program.
    #[error("the queue's file is of another version, or another program's")]
    Version,
    /// The message is another's by now.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// The runtime stopped before it was done.
    #[error("the runtime stopped")]
    Stopped,
}

impl EmbeddedQueue {
    /// Opens a queue's file, or makes a new one, which is its owner's alone to read. Blocks: after a crash for as long
    /// as it takes to look the file through.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Store`] where the file cannot be had, is no database, or is another process's at the
    /// moment; [`EmbeddedError::Version`] where it is of another version, or another program's database.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        Self::on(File::open(path.as_ref())?)
    }

    fn on(file: File) -> Result<Self, EmbeddedError> {
        let state = file.with(|database| {
            let transaction = database.begin_write()?;
            if !Tables::claim(&transaction)? {
                return Ok(None);
            }
            let state = {
                let tables = Tables::open(&transaction)?;
                State {
                    line: Line::default(),
                    end: tables.end()?,
                    left: tables.len()?,
                }
            };
            transaction.commit()?;
            Ok(Some(state))
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                file,
                pending: Pending::default(),
                state: Mutex::new(state.ok_or(EmbeddedError::Version)?),
                changed: Notify::new(),
            }),
        })
    }

    /// Adds a message at the end. Answers whether it is new: not in the queue, and without a result.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Store`].
    pub async fn send(&self, message: Message) -> Result<bool, EmbeddedError> {
        Ok(self.send_all(vec![message]).await? == 1)
    }

    /// Adds messages at the end, all or none. Answers how many are new.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Store`].
    pub async fn send_all(&self, messages: Vec<Message>) -> Result<usize, EmbeddedError> {
        let shared = Arc::clone(&self.shared);
        let write = self.shared.write(move |tables| {
            let mut new = 0;
            for message in &messages {
                if !tables.knows(message.key())? {
                    tables.add(shared.next_place(), message)?;
                    new += 1;
                }
            }
            Ok(new)
        });
        write.await
    }

    /// How many messages are neither completed nor set aside.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared.state.lock().left
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
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Store`].
    pub async fn result(&self, key: &str) -> Result<Option<Bytes>, EmbeddedError> {
        let key = key.to_owned();
        self.read(move |read| tables::result(read, &key)).await
    }

    /// Forgets a result: its work, sent again, is done again. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Store`].
    pub async fn remove_result(&self, key: &str) -> Result<bool, EmbeddedError> {
        let key = key.to_owned();
        self.shared
            .write(move |tables| tables.remove_result(&key))
            .await
    }

    /// What was set aside, by key.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Store`].
    pub async fn dead_letters(&self) -> Result<Vec<SetAside>, EmbeddedError> {
        self.read(tables::all_set_aside).await
    }

    /// Has what was set aside under a key be received again, its attempts forgotten. Answers whether it will be: not
    /// where nothing was set aside, or its work has been sent again since.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Store`].
    pub async fn redrive(&self, key: &str) -> Result<bool, EmbeddedError> {
        let (key, shared) = (key.to_owned(), Arc::clone(&self.shared));
        let write = self.shared.write(move |tables| {
            // What is in the line, or done, stays aside to be looked at.
            if tables.knows(&key)? {
                return Ok(false);
            }
            let Some(message) = tables.take_set_aside(&key)? else {
                return Ok(false);
            };
            tables.add(shared.next_place(), &message)?;
            Ok(true)
        });
        write.await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, EmbeddedError> {
        let shared = Arc::clone(&self.shared);
        let read = spawn_blocking(move || {
            let read = |database: &Database| read(&database.begin_read()?);
            Ok(shared.file.with(read)?)
        });
        read.await.unwrap_or(Err(EmbeddedError::Stopped))
    }
}

impl Shared {
    fn next_place(&self) -> Id {
        let mut state = self.state.lock();
        let id = state.end;
        state.end += 1;
        id
    }
}

impl<E: Into<redb::Error>> From<E> for EmbeddedError {
    fn from(error: E) -> Self {
        Self::Store(Arc::new(error.into()))
    }
}

impl fmt::Debug for EmbeddedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedQueue")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetAside")
            .field("message", &self.message)
            .field("cause", &self.cause)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
