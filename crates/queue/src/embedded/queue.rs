//! What a [`Worker`](crate::Worker) asks of it.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::{EmbeddedError, EmbeddedQueue, tables};
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
                let leased = Arc::new(Mutex::new(Vec::new()));
                let write = {
                    let (shared, leased) = (Arc::clone(&self.shared), Arc::clone(&leased));
                    self.shared.write(move |tables| {
                        shared.take(tables, max.max(1), visibility, &mut leased.lock())
                    })
                };
                match write.await {
                    Ok(deliveries) if deliveries.is_empty() => {}
                    Ok(deliveries) => return Ok(deliveries),
                    Err(error) => {
                        self.shared.release(&leased.lock());
                        return Err(error);
                    }
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
