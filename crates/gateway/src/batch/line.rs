//! The records that are left, and where they go when they are done.

use std::{io, sync::Arc};

use bytes::Bytes;
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

/// The output as a store of results. A process that stood still for longer than its leases may work at a record twice;
/// it has one line all the same.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) input: Arc<Input>,
    pub(super) output: Output,
    pub(super) progress: Progress,
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
            input,
            output,
            progress,
        } = &self.answers;
        let index = index(&message)?;
        let line = input.with_record(index, |record| record.failure(&error))??;
        let progress = progress.clone();
        output
            .append(index, line, move || progress.failed())
            .await?;
        Ok(self.queue.complete(receipt).await?)
    }
}

impl Results for Answers {
    type Error = io::Error;

    async fn has(&self, key: &str) -> io::Result<bool> {
        let index = index_of(key).map_err(io::Error::other)?;
        Ok(self.output.is_finished(index))
    }

    async fn put(&self, key: &str, line: Bytes) -> io::Result<()> {
        let index = index_of(key).map_err(io::Error::other)?;
        let progress = self.progress.clone();
        let count = move || progress.answered();
        self.output.append(index, line.to_vec(), count).await
    }
}

fn without_detail(cause: Cause) -> RecordError {
    let (error_code, message) = match cause {
        Cause::Unreadable => (500, "the answer is no JSON"),
        _ => (503, "there was no answer"),
    };
    RecordError {
        error_code,
        error_message: format!("{cause}: {message}"),
    }
}
