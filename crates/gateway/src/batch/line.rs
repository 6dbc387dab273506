//! The records that are left, and where they go when they are done.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::time::Duration;
use tower_bedrock_core::BoxError;
use tower_bedrock_queue::{
    Cause, DeadLetter, Delivery, LocalReceipt, MemoryQueue, Message, Queue, Results,
};

use super::{call::index, input::Input, output::Output, progress::Progress, record::RecordError};

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
        let line = input.with_record(index(&message)?, |record| record.failure(&error))??;
        output.append(line).await?;
        progress.failed();
        Ok(self.queue.complete(receipt).await?)
    }
}

impl Results for Answers {
    type Error = io::Error;

    /// What has its line was never put into the queue.
    async fn has(&self, _: &str) -> io::Result<bool> {
        Ok(false)
    }

    async fn put(&self, _: &str, line: Bytes) -> io::Result<()> {
        self.output.append(line.to_vec()).await?;
        self.progress.answered();
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
