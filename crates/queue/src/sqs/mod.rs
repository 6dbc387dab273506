//! Amazon SQS.

mod attributes;
mod error;
mod shared;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use aws_sdk_sqs::{Client, types::MessageSystemAttributeName as Attribute};
use tokio::time::{Duration, Instant};

pub use self::error::SqsError;
use self::{
    attributes::{ATTEMPTS, Attributes, EXCEPTION, KEY},
    shared::Shared,
};
use crate::{DeadLetter, Delivery, Message, Queue};

/// Amazon SQS, standard and FIFO.
///
/// ```no_run
/// use tower_bedrock_queue::{Message, SqsQueue};
///
/// # async fn example(client: aws_sdk_sqs::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let queue = SqsQueue::new(
///     client,
///     "https://sqs.us-east-1.amazonaws.com/123456789012/batch",
///     "https://sqs.us-east-1.amazonaws.com/123456789012/batch-failed",
/// );
/// queue.send(&Message::new("invoice-4711", "Summarise invoice 4711.")).await?;
/// # Ok(())
/// # }
/// ```
///
/// Without a store of [results](crate::WorkerBuilder::results), which SQS is not, a message that is delivered again is
/// called for again, and paid for: SQS does so where its process died, and a standard queue now and then on its own.
///
/// - The **key** travels as the attribute `IdempotencyKey`. A message sent by others has the key of that attribute,
///   else its deduplication id, else its message id.
/// - What is **set aside** is sent to the dead-letter queue with its attributes (SQS takes ten: the first seven by
///   name), its `AWSTraceHeader`, and `Exception` and `Attempts` beside them, and then deleted. A process that dies in between does it
///   twice; a FIFO queue takes only the first. What a codec has to say of the error stays here. A message so large that
///   its attributes do not fit goes without any. What the dead-letter queue refuses all the same comes again whenever
///   its lease ends, and holds up its group: so let that queue take messages as large as this one does.
/// - **FIFO** (a URL that ends in `.fifo`): messages of one group are worked at one after another, so one that is
///   given back holds up its group, and no other. For that each receipt is of one message: SQS hands out nothing of
///   a group while one of it is leased, and as much of it as it can in one receipt. The key is the deduplication id;
///   a message without a group is a group of its own.
/// - A lease can be renewed for at most 12 hours in all.
///
/// # Attempts
///
/// SQS counts receipts, and a receipt need not be an attempt: it may have ended in a throttle, in an outage, for lack of
/// headroom, with a deploy. Nor does a message have a place for what a worker has to say of it, but for one that is
/// sent. So on a **standard** queue
///
/// - an attempt that failed has the message sent anew, with the number of attempts that failed as the attribute
///   `FailedAttempts`, and the old one deleted: all workers count together, whichever it comes to next;
/// - one that was only turned away goes back as it is, until half of [`with_max_receives`](Self::with_max_receives) is
///   used up, and is sent anew from then on, so that its receipts begin at one again;
/// - what is left to use them up are receipts that nobody was left to say anything of: their processes were killed, or
///   were by the message itself. It is set aside as `abandoned` without another attempt.
///
/// A redrive policy of the queue's own is not needed for that: it would count receipts, and what it has moved has no
/// more attempts than were left, for the number stays on the message.
///
/// A process that dies between sending and deleting leaves two messages with one key; the results tell the second
/// from new work. The retention period begins anew with each. It takes `sqs:SendMessage` on the queue itself: without it,
/// or where a message has nine attributes of its own or more, this process alone remembers which attempts failed, and
/// turned away is a receipt like any other.
///
/// On a **FIFO** queue nothing is sent anew, for it would lose its place. There each worker counts the attempts that it
/// has made itself, and a message that takes its process down is for a redrive policy of the queue to end. Give it one
/// whose `maxReceiveCount` is far above `max_attempts` (100, say): receipts that were no attempts count there.
///
/// # Clone
///
/// Clones share the client and what is remembered of attempts.
#[derive(Clone)]
pub struct SqsQueue {
    shared: Arc<Shared>,
    poll: i32,
    max_receives: u32,
}

/// What SQS knows a delivery by.
#[derive(Clone)]
pub struct SqsReceipt {
    handle: String,
    id: String,
    message: Message,
    attributes: Attributes,
    /// Attempts before this one that failed.
    failed: u32,
    /// This one included.
    receives: u32,
    received: Instant,
}

/// The longest poll that SQS takes, and the most messages of one.
const MAX_POLL_SECS: i32 = 20;
const MAX_MESSAGES: usize = 10;

const MAX_VISIBILITY_SECS: u64 = 12 * 3_600;

const DEFAULT_MAX_RECEIVES: u32 = 20;

impl SqsQueue {
    /// A queue by its URL, and the URL of the one for what is set aside: of the same kind, standard or FIFO.
    pub fn new(client: Client, url: impl Into<String>, dead_letter_url: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared::new(client, url.into(), dead_letter_url.into())),
            poll: MAX_POLL_SECS,
            max_receives: DEFAULT_MAX_RECEIVES,
        }
    }

    /// How long a poll waits for a message, up to SQS's 20 seconds, which is the default and the cheapest.
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = secs(poll).min(MAX_POLL_SECS);
        self
    }

    /// How often a message of a standard queue may be received without a word of what became of it, before it is set
    /// aside. Default 20: at ten of them in a row the process was killed, and not by chance. Each takes as long as a
    /// lease. [`u32::MAX`]: for ever, as on a FIFO queue.
    ///
    /// No less than the worker's `max_attempts`, or it is that which counts.
    #[must_use]
    pub const fn with_max_receives(mut self, receives: u32) -> Self {
        self.max_receives = receives;
        self
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`SqsError`] where SQS refuses it, or its body is not text.
    pub async fn send(&self, message: &Message) -> Result<(), SqsError> {
        let attributes = Attributes::default().with_own([(KEY, message.key())]);
        let attributes = attributes.map_err(SqsError::not_sent)?;
        let Shared { url, .. } = &*self.shared;
        self.shared
            .send(url, message, message.key(), attributes, None)
            .await
    }

    /// Whether a message has to be sent anew for its receipts not to count against it.
    const fn is_worn(&self, receipt: &SqsReceipt) -> bool {
        receipt.receives > self.max_receives / 2
    }
}

impl SqsReceipt {
    /// The longest that the message can stay invisible from now on, in seconds. SQS counts from the receipt on; a second
    /// is for the way there.
    fn visibility_left(&self) -> i32 {
        let held = self.received.elapsed().as_secs() + 1;
        MAX_VISIBILITY_SECS.saturating_sub(held) as i32
    }
}

impl Queue for SqsQueue {
    type Receipt = SqsReceipt;
    type Error = SqsError;

    /// Answers with at most ten messages, of a FIFO queue with at most one, and with none once it has polled for as
    /// long as it is to.
    async fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<SqsReceipt>>, SqsError> {
        let Shared { client, url, .. } = &*self.shared;
        // Of a FIFO queue two of one group would be worked at side by side, and receipts alone end nothing.
        let (most, max_receives) = match is_fifo(url) {
            true => (1, u32::MAX),
            false => (MAX_MESSAGES, self.max_receives),
        };
        let received = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(max.clamp(1, most) as i32)
            .visibility_timeout(secs(visibility).max(1))
            .wait_time_seconds(self.poll)
            .message_attribute_names("All")
            .message_system_attribute_names(Attribute::MessageDeduplicationId)
            .message_system_attribute_names(Attribute::MessageGroupId)
            .message_system_attribute_names(Attribute::ApproximateReceiveCount)
            .message_system_attribute_names(Attribute::AwsTraceHeader)
            .send()
            .await
            .map_err(|error| SqsError::new("the queue cannot be polled", error))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        let mut deliveries = Vec::new();
        for message in messages {
            if let Some(delivery) = self.shared.delivery(message, max_receives)
                && !self.shared.is_moved(&delivery.receipt).await
            {
                deliveries.push(delivery);
            }
        }
        Ok(deliveries)
    }

    async fn extend(&self, receipt: &SqsReceipt, visibility: Duration) -> Result<(), SqsError> {
        let left = receipt.visibility_left();
        if left == 0 {
            let why = "it has been held for the twelve hours that SQS allows";
            return Err(SqsError::new("a lease cannot be changed", why));
        }
        let visibility = secs(visibility).clamp(1, left);
        self.shared.change_visibility(receipt, visibility).await
    }

    async fn complete(&self, receipt: SqsReceipt) -> Result<(), SqsError> {
        self.shared.delete(&receipt).await
    }

    async fn give_back(
        &self,
        receipt: SqsReceipt,
        after: Duration,
        counted: bool,
    ) -> Result<(), SqsError> {
        let shared = &*self.shared;
        let failed = receipt.failed.saturating_add(u32::from(counted));
        if !is_fifo(&shared.url) && (counted || self.is_worn(&receipt)) {
            match shared.send_anew(&receipt, failed, after).await {
                Ok(()) => return shared.delete(&receipt).await,
                Err(error) => {
                    tracing::warn!(%error, "a message cannot be sent anew: its receipts count");
                }
            }
        }
        if counted {
            shared.remember(&receipt, failed);
        }
        let visibility = secs(after).min(receipt.visibility_left());
        shared.change_visibility(&receipt, visibility).await
    }

    async fn dead_letter(
        &self,
        receipt: SqsReceipt,
        message: Message,
        why: DeadLetter,
    ) -> Result<(), SqsError> {
        let shared = &*self.shared;
        // What cannot be set aside comes again, and must not be called for each time.
        shared.remember(&receipt, why.attempts);
        let attempts = why.attempts.to_string();
        let own = [
            (KEY, message.key()),
            (EXCEPTION, why.cause.as_str()),
            (ATTEMPTS, &attempts),
        ];
        let attributes = receipt.attributes.with_own(own);
        let attributes = attributes.map_err(SqsError::not_sent)?;
        let url = &shared.dead_letter_url;
        // The same id for each delivery of a message, and another one's once it has been moved back: under the key's
        // the second time would be taken for a repetition, and be lost.
        let send = |attributes| shared.send(url, &message, &receipt.id, attributes, None);
        match send(attributes).await {
            Err(error) if error.invalid => {
                tracing::warn!(%error, "a message is set aside without its attributes");
                send(Attributes::default()).await?;
            }
            sent => sent?,
        }
        shared.delete(&receipt).await
    }
}

fn is_fifo(url: &str) -> bool {
    url.ends_with(".fifo")
}

/// In whole seconds, rounded up, as many as SQS takes.
fn secs(duration: Duration) -> i32 {
    let part = u64::from(duration.subsec_nanos() > 0);
    let secs = duration.as_secs().saturating_add(part);
    secs.min(MAX_VISIBILITY_SECS) as i32
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue")
            .field("url", &self.shared.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SqsReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsReceipt").finish_non_exhaustive()
    }
}
