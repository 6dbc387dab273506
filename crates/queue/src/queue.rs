use std::{future::Future, sync::Arc};

use bytes::Bytes;
use tokio::time::Duration;
use tower_bedrock_core::BoxError;

use crate::{DeadLetter, Delivery, Message};

/// Where work waits. At least once: what is received is there again unless it is settled before its lease runs
/// out.
///
/// The five calls are those of Amazon SQS by other names. Each delivery ends with one of
/// [`complete`](Self::complete), [`give_back`](Self::give_back) and [`dead_letter`](Self::dead_letter), or, where
/// its holder dies, by the lease running out.
///
/// A [`Worker`](crate::Worker) calls for everything it has received at once. So a queue that keeps the order within
/// groups hands out nothing of a group while a message of it is leased.
pub trait Queue {
    /// What a delivery is settled by.
    type Receipt: Send + Sync;
    /// Why the queue could not be reached. Its text is logged, so it must not hold a body.
    type Error: Into<BoxError>;

    /// Receives at least one message and at most `max`, each leased for `visibility`: until then nobody else
    /// receives it. Waits while there is none, as long as it likes, and may then answer with none.
    ///
    /// Whoever waits may drop the future. A message that it had already leased comes back when its lease runs
    /// out, if not before.
    fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery<Self::Receipt>>, Self::Error>> + Send;

    /// Renews a lease: it runs out `visibility` from now.
    fn extend(
        &self,
        receipt: &Self::Receipt,
        visibility: Duration,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The work is done.
    fn complete(
        &self,
        receipt: Self::Receipt,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The work is not done and may be received again `after` that long. A delivery that is `counted` was an
    /// attempt; one that is not was turned away by nothing of its own doing.
    fn give_back(
        &self,
        receipt: Self::Receipt,
        after: Duration,
        counted: bool,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The work cannot be done. It is kept apart, with the reason, and never received again.
    fn dead_letter(
        &self,
        receipt: Self::Receipt,
        message: Message,
        why: DeadLetter,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Results by the key of their work, so that work which comes again is not paid for again.
///
/// A result is put before its message is completed. So whatever dies when, either the message comes back and
/// finds its result, or it was never answered. `()` knows of none.
pub trait Results {
    /// Why the store could not be reached. Its text is logged, so it must not hold a body.
    type Error: Into<BoxError>;

    /// Whether there is a result.
    fn has(&self, key: &str) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Keeps a result. One that is there already may be replaced or stay.
    fn put(&self, key: &str, result: Bytes)
    -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Knows of no result: for work whose repetition costs nothing, or is found out elsewhere.
impl Results for () {
    type Error = std::convert::Infallible;

    async fn has(&self, _: &str) -> Result<bool, Self::Error> {
        Ok(false)
    }

    async fn put(&self, _: &str, _: Bytes) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl<Q: Queue + Send + Sync + ?Sized> Queue for Arc<Q> {
    type Receipt = Q::Receipt;
    type Error = Q::Error;

    fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery<Self::Receipt>>, Self::Error>> + Send {
        (**self).receive(max, visibility)
    }

    fn extend(
        &self,
        receipt: &Self::Receipt,
        visibility: Duration,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).extend(receipt, visibility)
    }

    fn complete(
        &self,
        receipt: Self::Receipt,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).complete(receipt)
    }

    fn give_back(
        &self,
        receipt: Self::Receipt,
        after: Duration,
        counted: bool,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).give_back(receipt, after, counted)
    }

    fn dead_letter(
        &self,
        receipt: Self::Receipt,
        message: Message,
        why: DeadLetter,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).dead_letter(receipt, message, why)
    }
}

impl<R: Results + Send + Sync + ?Sized> Results for Arc<R> {
    type Error = R::Error;

    fn has(&self, key: &str) -> impl Future<Output = Result<bool, Self::Error>> + Send {
        (**self).has(key)
    }

    fn put(
        &self,
        key: &str,
        result: Bytes,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).put(key, result)
    }
}
