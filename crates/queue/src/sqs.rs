use std::{collections::HashMap, error::Error, fmt, sync::Arc};

use aws_sdk_sqs::{
    Client,
    error::{BuildError, ProvideErrorMetadata},
    types::{
        Message as SqsMessage, MessageAttributeValue, MessageSystemAttributeName as Attribute,
    },
};
use quick_cache::sync::Cache;
use tokio::time::{Duration, Instant};

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
/// - The **key** travels as the attribute `IdempotencyKey`. A message sent by others has the key of that attribute,
///   else its deduplication id, else its message id.
/// - **Attempts** are those that this process made and gave back counted; of a message it does not know, this is the
///   first. SQS's own `ApproximateReceiveCount` is no such number: it counts throttles, outages, messages that were
///   held for lack of headroom and every worker's deploys too, so that a queue that only had to wait would be set aside
///   without ever having been called for. What follows: of several workers each makes up to `max_attempts`, and a
///   message that takes its process down is for a redrive policy of the queue to end. Give it one whose
///   `maxReceiveCount` is far above `max_attempts` (100, say): receipts that were no attempts count there.
/// - What is **set aside** is sent to the dead-letter queue with its attributes (SQS takes ten: the first seven by
///   name), and `Exception` and `Attempts` beside them, and then deleted. A process that dies in between does it twice; a FIFO queue takes only the first.
///   What a codec has to say of the error stays here. A message so large that its attributes do not fit goes without
///   any. What the dead-letter queue refuses all the same comes again whenever its lease ends, and holds up its group:
///   so let that queue take messages as large as this one does.
/// - **FIFO** (a URL that ends in `.fifo`): messages of one group are worked at one after another, so one that is
///   given back holds up its group, and no other. For that each receipt is of one message: SQS hands out nothing of
///   a group while one of it is leased, and as much of it as it can in one receipt. The key is the deduplication id;
///   a message without a group is a group of its own.
/// - A lease can be renewed for at most 12 hours in all. Results are for another store: SQS has no place for them.
///
/// # Clone
///
/// Clones share the client and the count of attempts.
#[derive(Clone)]
pub struct SqsQueue {
    shared: Arc<Shared>,
    poll: i32,
}

struct Shared {
    client: Client,
    url: String,
    dead_letter_url: String,
    /// Attempts that failed, by message. Bounded; a forgotten one begins anew.
    failed: Cache<String, u32>,
}

/// What SQS knows a delivery by.
#[derive(Clone)]
pub struct SqsReceipt {
    handle: String,
    id: String,
    attributes: Attributes,
    received: Instant,
}

type Attributes = HashMap<String, MessageAttributeValue>;

/// Why SQS did not do what it was asked to. Shows no body.
pub struct SqsError {
    what: &'static str,
    /// SQS will never take it as it is.
    invalid: bool,
    source: Box<dyn Error + Send + Sync>,
}

const NOT_SENT: &str = "a message cannot be sent";

const KEY: &str = "IdempotencyKey";
const EXCEPTION: &str = "Exception";
const ATTEMPTS: &str = "Attempts";

/// SQS takes no more attributes.
const MAX_ATTRIBUTES: usize = 10;

/// The longest poll that SQS takes, and the most messages of one.
const MAX_POLL_SECS: i32 = 20;
const MAX_MESSAGES: usize = 10;

const MAX_VISIBILITY_SECS: u64 = 12 * 3_600;

/// Messages whose failed attempts are remembered.
const REMEMBERED: usize = 10_000;

impl SqsQueue {
    /// A queue by its URL, and the URL of the one for what is set aside: of the same kind, standard or FIFO.
    pub fn new(client: Client, url: impl Into<String>, dead_letter_url: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                client,
                url: url.into(),
                dead_letter_url: dead_letter_url.into(),
                failed: Cache::new(REMEMBERED),
            }),
            poll: MAX_POLL_SECS,
        }
    }

    /// How long a poll waits for a message, up to SQS's 20 seconds, which is the default and the cheapest.
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = secs(poll).min(MAX_POLL_SECS);
        self
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`SqsError`] where SQS refuses it, or its body is not text.
    pub async fn send(&self, message: &Message) -> Result<(), SqsError> {
        let attributes = attributes(HashMap::new(), [(KEY, message.key())]);
        let attributes = attributes.map_err(|error| SqsError::new(NOT_SENT, error))?;
        let Shared { url, .. } = &*self.shared;
        self.shared
            .send(url, message, message.key(), attributes)
            .await
    }

    async fn change_visibility(&self, handle: &str, visibility: i32) -> Result<(), SqsError> {
        let Shared { client, url, .. } = &*self.shared;
        client
            .change_message_visibility()
            .queue_url(url)
            .receipt_handle(handle)
            .visibility_timeout(visibility)
            .send()
            .await
            .map_err(|error| SqsError::new("a lease cannot be changed", error))?;
        Ok(())
    }
}

impl Shared {
    async fn send(
        &self,
        url: &str,
        message: &Message,
        deduplication_id: &str,
        attributes: Attributes,
    ) -> Result<(), SqsError> {
        let body = String::from_utf8(message.body().to_vec())
            .map_err(|_| SqsError::new(NOT_SENT, "its body is not UTF-8"))?;
        let mut request = self
            .client
            .send_message()
            .queue_url(url)
            .message_body(body)
            .set_message_attributes(Some(attributes));
        if is_fifo(url) {
            request = request
                .message_deduplication_id(deduplication_id)
                .message_group_id(message.group().unwrap_or(message.key()));
        } else if let Some(group) = message.group() {
            // A standard queue takes it for fairness.
            request = request.message_group_id(group);
        }
        let sent = request.send().await;
        sent.map_err(|error| {
            let code = error.code().unwrap_or_default();
            let invalid = code.starts_with("InvalidParameterValue");
            SqsError {
                invalid,
                ..SqsError::new(NOT_SENT, error)
            }
        })?;
        Ok(())
    }

    async fn delete(&self, receipt: &SqsReceipt) -> Result<(), SqsError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&receipt.handle)
            .send()
            .await
            .map_err(|error| SqsError::new("a message cannot be deleted", error))?;
        self.failed.remove(&receipt.id);
        Ok(())
    }

    fn count(&self, id: &str) {
        let failed = self.failed.get(id).unwrap_or(0);
        self.failed.insert(id.to_owned(), failed.saturating_add(1));
    }

    /// `None` for what is no message: without a body to work at, or a handle to settle it by.
    fn delivery(&self, message: SqsMessage) -> Option<Delivery<SqsReceipt>> {
        let (handle, id) = (message.receipt_handle?, message.message_id?);
        let attributes = message.message_attributes.unwrap_or_default();
        let system = message.attributes.unwrap_or_default();
        let key = attributes
            .get(KEY)
            .and_then(|key| key.string_value.as_ref())
            .or_else(|| system.get(&Attribute::MessageDeduplicationId))
            .unwrap_or(&id);
        let mut received = Message::new(key, message.body?);
        if let Some(group) = system.get(&Attribute::MessageGroupId) {
            received = received.with_group(group);
        }
        let failed = self.failed.get(&id).unwrap_or(0);
        Some(Delivery {
            message: received,
            receipt: SqsReceipt {
                handle,
                id,
                attributes,
                received: Instant::now(),
            },
            attempts: failed.saturating_add(1),
        })
    }
}

impl Queue for SqsQueue {
    type Receipt = SqsReceipt;
    type Error = SqsError;

    /// Answers with at most ten messages, of a FIFO queue with at most one, and with none once it has polled for as long as it is to.
    async fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery<SqsReceipt>>, SqsError> {
        let Shared { client, url, .. } = &*self.shared;
        // See above: two of one group would be worked at side by side.
        let most = if is_fifo(url) { 1 } else { MAX_MESSAGES };
        let received = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(max.clamp(1, most) as i32)
            .visibility_timeout(secs(visibility).max(1))
            .wait_time_seconds(self.poll)
            .message_attribute_names("All")
            .message_system_attribute_names(Attribute::MessageDeduplicationId)
            .message_system_attribute_names(Attribute::MessageGroupId)
            .send()
            .await
            .map_err(|error| SqsError::new("the queue cannot be polled", error))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .filter_map(|message| self.shared.delivery(message))
            .collect())
    }

    async fn extend(&self, receipt: &SqsReceipt, visibility: Duration) -> Result<(), SqsError> {
        // SQS counts from the receipt on. A second is for the way there.
        let held = receipt.received.elapsed().as_secs() + 1;
        let left = MAX_VISIBILITY_SECS.saturating_sub(held) as i32;
        if left == 0 {
            let why = "it has been held for the twelve hours that SQS allows";
            return Err(SqsError::new("a lease cannot be changed", why));
        }
        let visibility = secs(visibility).clamp(1, left);
        self.change_visibility(&receipt.handle, visibility).await
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
        if counted {
            self.shared.count(&receipt.id);
        }
        self.change_visibility(&receipt.handle, secs(after)).await
    }

    async fn dead_letter(
        &self,
        receipt: SqsReceipt,
        message: Message,
        why: DeadLetter,
    ) -> Result<(), SqsError> {
        // What cannot be set aside comes again, and must not be called for each time.
        self.shared.count(&receipt.id);
        let own = |name: &str| [KEY, EXCEPTION, ATTEMPTS].contains(&name);
        let others = receipt.attributes.iter().filter(|(name, _)| !own(name));
        let mut others: Vec<_> = others.collect();
        others.sort_unstable_by_key(|(name, _)| name.as_str());
        let others = others
            .into_iter()
            .take(MAX_ATTRIBUTES - 3)
            .map(|(name, value)| (name.clone(), value.clone()));
        let attempts = why.attempts.to_string();
        let own = [
            (KEY, message.key()),
            (EXCEPTION, why.cause.as_str()),
            (ATTEMPTS, &attempts),
        ];
        let attributes = attributes(others.collect(), own);
        let attributes = attributes.map_err(|error| SqsError::new(NOT_SENT, error))?;
        let shared = &*self.shared;
        let send = |attributes| {
            // The same for each delivery of a message, and another one's once it has been moved back: under the key's
            // the second time would be taken for a repetition, and be lost.
            shared.send(&shared.dead_letter_url, &message, &receipt.id, attributes)
        };
        match send(attributes).await {
            Err(error) if error.invalid => {
                tracing::warn!(%error, "a message is set aside without its attributes");
                send(HashMap::new()).await?;
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

/// Adds attributes that are text.
fn attributes<const N: usize>(
    mut attributes: Attributes,
    texts: [(&str, &str); N],
) -> Result<Attributes, BuildError> {
    for (name, text) in texts {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(text);
        attributes.insert(name.to_owned(), value.build()?);
    }
    Ok(attributes)
}

impl SqsError {
    fn new(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            what,
            invalid: false,
            source: source.into(),
        }
    }
}

/// With its causes: the SDK's own errors say little by themselves.
impl fmt::Display for SqsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        std::iter::successors(self.source(), |error| (*error).source())
            .try_for_each(|error| write!(f, ": {error}"))
    }
}

impl Error for SqsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// As `Display`: what the SDK's own errors show may hold an answer of SQS's, with the messages in it.
impl fmt::Debug for SqsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqsError").field(&self.to_string()).finish()
    }
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

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::config::{BehaviorVersion, Config};

    use super::*;

    /// What SQS answers of a message that was received so often, by whomever.
    fn received(id: &str, receipts: u32) -> SqsMessage {
        SqsMessage::builder()
            .message_id(id)
            .receipt_handle("handle")
            .body("work")
            .attributes(Attribute::ApproximateReceiveCount, receipts.to_string())
            .build()
    }

    #[test]
    fn receipts_that_called_for_nothing_here_are_no_attempts() {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .build();
        let queue = SqsQueue::new(Client::from_conf(config), "queue", "failed");
        let attempts = |id, receipts| {
            let delivery = queue.shared.delivery(received(id, receipts));
            delivery.map(|delivery| delivery.attempts)
        };
        // Throttled at other workers, or at this one before it was deployed anew.
        assert_eq!(attempts("a", 1_000), Some(1));
        queue.shared.count("a");
        queue.shared.count("a");
        assert_eq!(attempts("a", 1_001), Some(3));
        assert_eq!(attempts("b", 1), Some(1));
    }

    #[test]
    fn seconds_are_rounded_up_and_no_more_than_sqs_takes() {
        assert_eq!(secs(Duration::ZERO), 0);
        assert_eq!(secs(Duration::from_millis(1)), 1);
        assert_eq!(secs(Duration::from_secs(60)), 60);
        assert_eq!(secs(Duration::MAX), 43_200);
    }
}
