use std::fmt;

use bytes::Bytes;
use tower_bedrock_core::FaultKind;

/// A piece of work that may wait.
///
/// ```
/// use tower_bedrock_queue::Message;
///
/// let message = Message::new("invoice-4711", "Summarise invoice 4711.").with_group("customer-12");
/// assert_eq!(message.key(), "invoice-4711");
/// ```
///
/// `Debug` shows sizes and not the body, which may hold what users wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    key: String,
    body: Bytes,
    group: Option<String>,
}

/// A message that was received, to be settled by its receipt.
#[derive(Clone, Debug)]
pub struct Delivery<R> {
    /// What is to be done.
    pub message: Message,
    /// What the queue knows this delivery by.
    pub receipt: R,
    /// How often it was attempted, this time included. Deliveries that were given back
    /// [uncounted](crate::Queue::give_back) are no attempts, whoever gave them back: a queue that cannot tell says
    /// fewer rather than more, or messages would be set aside that were never called for.
    pub attempts: u32,
}

/// Why a message is set aside.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What was wrong.
    pub cause: Cause,
    /// How often it was attempted.
    pub attempts: u32,
    /// What a [`Codec`](crate::Codec) has to say of the error, where it has. May hold what users are to read, so
    /// it is never logged.
    pub detail: Option<Bytes>,
}

/// What was wrong with a message that is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The call failed with this fault, at the last attempt or in a way that no other attempt would mend.
    Fault(FaultKind),
    /// The codec could not make a request of it, or no result of its answer.
    Unreadable,
    /// Every attempt ended without an outcome: the process died, or the lease ran out.
    Abandoned,
}

impl Message {
    /// A message. The key is that of the work: two messages with the same key are the same work, which is paid
    /// for once where the result of the first is known when the second comes.
    pub fn new(key: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            body: body.into(),
            group: None,
        }
    }

    /// Sets the group, for queues that keep the order within one: SQS FIFO. The others hand it on and do not mind it.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The idempotency key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }
}

impl DeadLetter {
    /// A message that is set aside after so many attempts.
    #[must_use]
    pub const fn new(cause: Cause, attempts: u32) -> Self {
        Self {
            cause,
            attempts,
            detail: None,
        }
    }

    /// Adds what the codec has to say.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<Bytes>) -> Self {
        self.detail = detail;
        self
    }
}

impl Cause {
    /// The name it is recorded by: Bedrock's exception where the fault has one, else the fault's name in snake
    /// case, `unreadable` or `abandoned`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fault(kind) => match kind.exception() {
                Some(exception) => exception,
                None => kind.as_str(),
            },
            Self::Unreadable => "unreadable",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("key_bytes", &self.key.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("cause", &self.cause)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
