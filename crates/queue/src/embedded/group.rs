//! Many writes, one commit: what comes while a commit is under way is in the next.

use std::sync::Arc;

use parking_lot::Mutex;
use redb::{Database, Durability};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{EmbeddedError, Shared, tables::Tables};

/// Writes that wait for the next commit.
#[derive(Default)]
pub(super) struct Pending(Mutex<State>);

#[derive(Default)]
struct State {
    writes: Vec<Box<dyn Write>>,
    /// Somebody is at it, and will look again before leaving.
    committing: bool,
}

trait Write: Send {
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;

    fn tell(self: Box<Self>, committed: Result<(), EmbeddedError>);
}

struct One<F, T> {
    write: Option<F>,
    value: Option<T>,
    told: oneshot::Sender<Result<T, EmbeddedError>>,
}

impl<F, T> Write for One<F, T>
where
    F: FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send,
    T: Send,
{
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        if let Some(write) = self.write.take() {
            self.value = Some(write(tables)?);
        }
        Ok(())
    }

    fn tell(self: Box<Self>, committed: Result<(), EmbeddedError>) {
        let Self { write, value, told } = *self;
        // Whoever is told may be the last to hold the queue, and expect the file to be closed after.
        drop(write);
        let result = committed.and_then(|()| value.ok_or(EmbeddedError::Stopped));
        // Whoever asked may have left.
        let _ = told.send(result);
    }
}

impl Shared {
    /// Has `write` done in a transaction, and answers once that is on disk.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the write is done all the same.
    pub(super) async fn write<F, T>(self: &Arc<Self>, write: F) -> Result<T, EmbeddedError>
    where
        F: FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
        T: Send + 'static,
    {
        self.begin(write)
            .await
            .unwrap_or(Err(EmbeddedError::Stopped))
    }

    /// The same, begun at once, whether or not anybody waits for it.
    pub(super) fn begin<F, T>(
        self: &Arc<Self>,
        write: F,
    ) -> oneshot::Receiver<Result<T, EmbeddedError>>
    where
        F: FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
        T: Send + 'static,
    {
        let (told, answer) = oneshot::channel();
        let first = {
            let mut state = self.pending.0.lock();
            state.writes.push(Box::new(One {
                write: Some(write),
                value: None,
                told,
            }));
            !std::mem::replace(&mut state.committing, true)
        };
        if first {
            let committer = Committer {
                shared: Arc::clone(self),
                done: false,
            };
            spawn_blocking(|| committer.commit_all());
        }
        answer
    }

    fn commit(
        &self,
        database: &Database,
        writes: &mut [Box<dyn Write>],
    ) -> Result<(), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let left = {
            let mut tables = Tables::open(&transaction)?;
            for write in writes {
                write.apply(&mut tables)?;
            }
            tables.len()?
        };
        transaction.commit()?;
        self.state.lock().left = left;
        Ok(())
    }
}

/// Who commits. One that ends before it is done (a runtime that is shut down, a panic) leaves nobody waiting.
struct Committer {
    shared: Arc<Shared>,
    done: bool,
}

impl Committer {
    fn commit_all(mut self) {
        let mut writes = std::mem::take(&mut self.shared.pending.0.lock().writes);
        loop {
            let shared = &self.shared;
            let committed = shared
                .file
                .with(|database| shared.commit(database, &mut writes));
            let committed = committed.map_err(EmbeddedError::from);
            let tell = |writes: Vec<Box<dyn Write>>| {
                for write in writes {
                    write.tell(committed.clone());
                }
            };
            self.shared.changed.notify_waiters();
            let next = {
                let mut state = self.shared.pending.0.lock();
                state.committing = !state.writes.is_empty();
                std::mem::take(&mut state.writes)
            };
            if next.is_empty() {
                // Before anybody is told: see above.
                self.done = true;
                drop(self);
                tell(writes);
                return;
            }
            tell(std::mem::replace(&mut writes, next));
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let writes = {
            let mut state = self.shared.pending.0.lock();
            state.committing = false;
            std::mem::take(&mut state.writes)
        };
        // Whoever waits for one is told that it stopped.
        drop(writes);
    }
}
