//! The calls to SQS, and what this process remembers.

use aws_sdk_sqs::{
    Client,
    types::{
        Message as SqsMessage, MessageSystemAttributeName as Attribute,
        MessageSystemAttributeNameForSends as SentAttribute, MessageSystemAttributeValue,
    },
};
use quick_cache::sync::Cache;
use tokio::time::{Duration, Instant};

use super::{
    SqsError, SqsReceipt,
    attributes::{Attributes, FAILED, KEY},
    is_fifo, secs,
};
use crate::{Delivery, Message};

pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) url: String,
    pub(super) dead_letter_url: String,
    /// Attempts that failed here, by message, where they could not be told to SQS. Bounded; a forgotten one begins anew.
    failed: Cache<String, u32>,
    /// Messages of which a copy was sent, and which are not yet known to be deleted.
    moved: Cache<String, ()>,
}

/// Messages whose failed attempts are remembered.
const REMEMBERED: usize = 10_000;

/// The longest delay that SQS takes of a message that is sent.
const MAX_DELAY: Duration = Duration::from_secs(900);

impl Shared {
    pub(super) fn new(client: Client, url: String, dead_letter_url: String) -> Self {
        Self {
            client,
            url,
            dead_letter_url,
            failed: Cache::new(REMEMBERED),
            moved: Cache::new(REMEMBERED),
        }
    }

    pub(super) async fn send(
        &self,
        url: &str,
        message: &Message,
        deduplication_id: &str,
        attributes: Attributes,
        delay: Option<Duration>,
    ) -> Result<(), SqsError> {
        let body = String::from_utf8(message.body().to_vec())
            .map_err(|_| SqsError::not_sent("its body is not UTF-8"))?;
        let mut request = self
            .client
            .send_message()
            .queue_url(url)
            .message_body(body)
            .set_delay_seconds(delay.map(secs))
            .set_message_attributes(Some(attributes.named));
        if let Some(header) = attributes.trace_header {
            let value = MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(header)
                .build()
                .map_err(SqsError::not_sent)?;
            request = request.message_system_attributes(SentAttribute::AwsTraceHeader, value);
        }
        if is_fifo(url) {
            request = request
                .message_deduplication_id(deduplication_id)
                .message_group_id(message.group().unwrap_or(message.key()));
        } else if let Some(group) = message.group() {
            // A standard queue takes it for fairness.
            request = request.message_group_id(group);
        }
        request.send().await.map_err(SqsError::refused)?;
        Ok(())
    }

    /// Sends a message that was received once more: it is the same but for its receipts, and knows how many attempts have
    /// failed.
    pub(super) async fn send_anew(
        &self,
        receipt: &SqsReceipt,
        failed: u32,
        after: Duration,
    ) -> Result<(), SqsError> {
        let message = &receipt.message;
        let failed = failed.to_string();
        let own = [(KEY, message.key()), (FAILED, &failed)];
        if !receipt.attributes.can_be_sent_anew() {
            return Err(SqsError::not_sent("it has too many attributes of its own"));
        }
        let attributes = receipt.attributes.with_own(own);
        let attributes = attributes.map_err(SqsError::not_sent)?;
        let delay = Some(after.min(MAX_DELAY));
        self.send(&self.url, message, &receipt.id, attributes, delay)
            .await?;
        self.moved.insert(receipt.id.clone(), ());
        Ok(())
    }

    /// Whether a copy has taken the message's place: its deletion failed then, and is all that is left to do.
    pub(super) async fn is_moved(&self, receipt: &SqsReceipt) -> bool {
        let moved = self.moved.get(&receipt.id).is_some();
        if moved && let Err(error) = self.delete(receipt).await {
            tracing::warn!(%error, "a message whose copy was sent is still there");
        }
        moved
    }

    pub(super) async fn delete(&self, receipt: &SqsReceipt) -> Result<(), SqsError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&receipt.handle)
            .send()
            .await
            .map_err(|error| SqsError::new("a message cannot be deleted", error))?;
        self.failed.remove(&receipt.id);
        self.moved.remove(&receipt.id);
        Ok(())
    }

    pub(super) async fn change_visibility(
        &self,
        receipt: &SqsReceipt,
        visibility: i32,
    ) -> Result<(), SqsError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&receipt.handle)
            .visibility_timeout(visibility)
            .send()
            .await
            .map_err(|error| SqsError::new("a lease cannot be changed", error))?;
        Ok(())
    }

    /// Remembers that so many attempts have failed.
    pub(super) fn remember(&self, receipt: &SqsReceipt, failed: u32) {
        self.failed.insert(receipt.id.clone(), failed);
    }

    /// `None` for what is no message: without a body to work at, or a handle to settle it by.
    pub(super) fn delivery(
        &self,
        mut message: SqsMessage,
        max_receives: u32,
    ) -> Option<Delivery<SqsReceipt>> {
        let attributes = Attributes::of(&mut message);
        let (handle, id) = (message.receipt_handle?, message.message_id?);
        let system = message.attributes.unwrap_or_default();
        let key = attributes
            .text(KEY)
            .or_else(|| {
                let id = system.get(&Attribute::MessageDeduplicationId);
                id.map(String::as_str)
            })
            .unwrap_or(&id);
        let mut received = Message::new(key, message.body?);
        if let Some(group) = system.get(&Attribute::MessageGroupId) {
            received = received.with_group(group);
        }
        let number = |text: &str| text.parse::<u32>().ok();
        let receives = system.get(&Attribute::ApproximateReceiveCount);
        let receives = receives.and_then(|count| number(count)).unwrap_or(1);
        let told = attributes.text(FAILED).and_then(number);
        let told = told.unwrap_or(0);
        let remembered = self.failed.get(&id).unwrap_or(0);
        // Of too many nobody was left to say what became of them.
        let here = if receives > max_receives { receives } else { 1 };
        let attempts = told.saturating_add(here).max(remembered.saturating_add(1));
        Some(Delivery {
            message: received.clone(),
            receipt: SqsReceipt {
                handle,
                id,
                message: received,
                attributes,
                failed: told.max(remembered),
                receives,
                received: Instant::now(),
            },
            attempts,
        })
    }
}
