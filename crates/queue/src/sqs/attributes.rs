//! What travels beside a message's body.

use std::collections::HashMap;

use aws_sdk_sqs::{
    error::BuildError,
    types::{Message, MessageAttributeValue, MessageSystemAttributeName},
};

#[derive(Clone, Default)]
pub(super) struct Attributes {
    pub(super) named: HashMap<String, MessageAttributeValue>,
    /// What AWS X-Ray knows the producer's request by.
    pub(super) trace_header: Option<String>,
}

/// The key of the work.
pub(super) const KEY: &str = "IdempotencyKey";
/// Attempts that had failed when the message was sent anew.
pub(super) const FAILED: &str = "FailedAttempts";
/// Of a message that is set aside: why, and after how many attempts.
pub(super) const EXCEPTION: &str = "Exception";
pub(super) const ATTEMPTS: &str = "Attempts";

/// SQS takes no more attributes.
const MAX_ATTRIBUTES: usize = 10;

impl Attributes {
    /// Those that a message was received with.
    pub(super) fn of(message: &mut Message) -> Self {
        let system = message.attributes.as_mut();
        Self {
            named: message.message_attributes.take().unwrap_or_default(),
            trace_header: system
                .and_then(|system| system.remove(&MessageSystemAttributeName::AwsTraceHeader)),
        }
    }

    /// As many of them as there is room for beside these, by name, and these.
    pub(super) fn with_own<const N: usize>(
        &self,
        own: [(&str, &str); N],
    ) -> Result<Self, BuildError> {
        let is_kept = |name: &&String| *name != FAILED && own.iter().all(|(own, _)| own != name);
        let mut names: Vec<_> = self.named.keys().filter(is_kept).collect();
        names.sort_unstable();
        let mut named: HashMap<_, _> = names
            .into_iter()
            .take(MAX_ATTRIBUTES - N)
            .map(|name| (name.clone(), self.named[name].clone()))
            .collect();
        for (name, text) in own {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(text);
            named.insert(name.to_owned(), value.build()?);
        }
        Ok(Self {
            named,
            trace_header: self.trace_header.clone(),
        })
    }

    /// Whether there is room for all of them beside the message's key and the number of its failed attempts.
    pub(super) fn can_be_sent_anew(&self) -> bool {
        let own = [KEY, FAILED];
        let others = self
            .named
            .keys()
            .filter(|name| !own.contains(&name.as_str()));
        others.count() + own.len() <= MAX_ATTRIBUTES
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.named.get(name)?.string_value.as_deref()
    }
}
