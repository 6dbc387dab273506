//! What a [`Worker`](crate::Worker) asks of it.

use bytes::Bytes;
use tokio::time::{Duration, Instant};

use super::{EmbeddedError, EmbeddedQueue, tables, taking::Taking};
use crate::{DeadLetter, Delivery, Message, Queue, Results, line::LocalReceipt, wait::until};

impl Queue for EmbeddedQueue {
    type Receipt = LocalReceipt;
    type Error = EmbeddedError;

    async fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<LocalReceipt>>, EmbeddedError> {
        loop {
            let changed = self.shared.changed.notified();
            let (ready, next_change) = {
                let state = self.shared.state.lock();
                let ready = state.line.is_ready(Instant::now(), state.end);
                (ready, state.line.next_change())
            };
            if ready {
                let taken = Taking::new(&self.shared).take(max, visibility).await?;
                if !taken.is_empty() {
                    return Ok(taken);
                }
            } else {
                until(next_change, changed).await;
            }
        }
    }

    async fn extend(
        &self,
        receipt: &LocalReceipt,
        visibility: Duration,
    ) -> Result<(), EmbeddedError> {
        let mut state = self.shared.state.lock();
        Ok(state.line.extend(*receipt, Instant::now(), visibility)?)
    }

    async fn complete(&self, receipt: LocalReceipt) -> Result<(), EmbeddedError> {
        self.shared.state.lock().line.check(receipt)?;
        // Dropped in between, the lease runs out, and what it was of is found to be gone.
        let id = receipt.id;
        self.shared.write(move |tables| tables.remove(id)).await?;
        Ok(self.shared.state.lock().line.end(receipt)?)
    }

    async fn give_back(
        &self,
        receipt: LocalReceipt,
        after: Duration,
        counted: bool,
    ) -> Result<(), EmbeddedError> {
        if !counted {
            self.shared.state.lock().line.check(receipt)?;
            let id = receipt.id;
            self.shared.write(move |tables| tables.uncount(id)).await?;
        }
        let mut state = self.shared.state.lock();
        state.line.give_back(receipt, Instant::now(), after)?;
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn dead_letter(
        &self,
        receipt: LocalReceipt,
        message: Message,
        why: DeadLetter,
    ) -> Result<(), EmbeddedError> {
        self.shared.state.lock().line.check(receipt)?;
        let write = self.shared.write(move |tables| {
            tables.set_aside(&message, &why)?;
            tables.remove(receipt.id)
        });
        write.await?;
        Ok(self.shared.state.lock().line.end(receipt)?)
    }
}

impl Results for EmbeddedQueue {
    type Error = EmbeddedError;

    async fn has(&self, key: &str) -> Result<bool, EmbeddedError> {
        let key = key.to_owned();
        self.read(move |read| tables::has_result(read, &key)).await
    }

    async fn put(&self, key: &str, result: Bytes) -> Result<(), EmbeddedError> {
        let key = key.to_owned();
        let write = self
            .shared
            .write(move |tables| tables.put_result(&key, &result));
        write.await
    }
}
