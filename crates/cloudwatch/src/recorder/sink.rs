use std::future::Future;

use super::Batch;

/// Where data goes.
///
/// `CloudWatchSink` (feature `aws`) sends it to CloudWatch, [`EmfSink`](super::EmfSink) writes it as a log.
/// The [module's documentation](super) has an example of another.
pub trait Sink {
    /// Sends one batch, which is within CloudWatch's limits. Called again with the same batch, or a part of it,
    /// after an error, so it should not retry on its own.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it takes longer than the recorder's
    /// [`timeout`](super::CloudWatchRecorderBuilder::timeout).
    ///
    /// # Errors
    ///
    /// [`SinkError`], of the kind that says whether trying again can help.
    fn put(&mut self, batch: &Batch) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// A batch that was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Not now: a throttle, an outage, rights that are missing. The batch is kept and sent later.
    #[error("not sent, to be tried again: {0}")]
    Unavailable(String),
    /// Never: something in the batch is not accepted. Its halves are sent, until the datum at fault is alone.
    #[error("refused for good: {0}")]
    Rejected(String),
}
