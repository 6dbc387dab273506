//! The records that are left, and where they go when they are done.

use std::{io, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Duration;
use tower_bedrock_core::BoxError;
use tower_bedrock_queue::{
    Cause, DeadLetter, Delivery, LocalReceipt, MemoryQueue, Message, Queue, Results,
};

use super::{
    call::{index, index_of},
    input::Input,
    output::Output,
    progress::Progress,
    record::RecordError,
};

/// A queue in memory, because what is left is known from the two files. What is set aside goes into the output.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) queue: MemoryQueue,
    pub(super) answers: Answers,
}

/// The output as a store of results.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) input: Arc<Input>,
    pub(super) output: Output,
    pub(super) progress: Progress,
    /// The records that have their lines. A process that stood still for longer than its leases may work at a record
    /// twice.
    pub(super) finished: Arc<Mutex<Vec<bool>>>,
}

impl Answers {
    /// Adds a record's line, unless it has one. Answers whether it is new.
    async fn finish(&self, index: usize, line: Vec<u8>) -> io::Result<bool> {
        if self.is_finished(index, true) {
            return Ok(false);
        }
        let written = self.output.append(line).await;
        if written.is_err() {
            self.is_finished(index, false);
        }
        written.map(|()| true)
    }

    /// Whether a record has its line, and whether it has from now on.
    fn is_finished(&self, index: usize, from_now_on: bool) -> bool {
        let mut finished = self.finished.lock();
        let finished = finished.get_mut(index);
        finished.is_some_and(|finished| std::mem::replace(finished, from_now_on))
    }
}

impl Queue for Line {
    type Receipt = LocalReceipt;
    type Error = BoxError;

    async fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<LocalReceipt>>, BoxError> {
        Ok(self.queue.receive(max, visibility).await?)
    }

    async fn extend(&self, receipt: &LocalReceipt, visibility: Duration) -> Result<(), BoxError> {
        Ok(self.queue.extend(receipt, visibility).await?)
    }

    async fn complete(&self, receipt: LocalReceipt) -> Result<(), BoxError> {
        Ok(self.queue.complete(receipt).await?)
    }

    async fn give_back(
        &self,
        receipt: LocalReceipt,
        after: Duration,
        counted: bool,
    ) -> Result<(), BoxError> {
        Ok(self.queue.give_back(receipt, after, counted).await?)
    }

    async fn dead_letter(
        &self,
        receipt: LocalReceipt,
        message: Message,
        why: DeadLetter,
    ) -> Result<(), BoxError> {
        let detail = why.detail.as_deref();
        let error = detail
            .and_then(|detail| serde_json::from_slice(detail).ok())
            .unwrap_or_else(|| without_detail(why.cause));
        let Answers {
            input, progress, ..
        } = &self.answers;
        let index = index(&message)?;
        let line = input.with_record(index, |record| record.failure(&error))??;
        if self.answers.finish(index, line).await? {
            progress.failed();
        }
        Ok(self.queue.complete(receipt).await?)
    }
}

impl Results for Answers {
    type Error = io::Error;

    async fn has(&self, key: &str) -> io::Result<bool> {
        let index = index_of(key).map_err(io::Error::other)?;
        Ok(self.finished.lock().get(index).is_some_and(|done| *done))
    }

    async fn put(&self, key: &str, line: Bytes) -> io::Result<()> {
        let index = index_of(key).map_err(io::Error::other)?;
        if self.finish(index, line.to_vec()).await? {
            self.progress.answered();
        }
        Ok(())
    }
}

fn without_detail(cause: Cause) -> RecordError {
    let (error_code, message) = match cause {
        Cause::Unreadable => (500, "the answer is no JSON, or the input has changed"),
        _ => (503, "there was no answer"),
    };
    RecordError {
        error_code,
        error_message: format!("{cause}: {message}"),
    }
}
