//! What travels beside a message's body.

use std::collections::HashMap;

use aws_sdk_sqs::{error::BuildError, types::MessageAttributeValue};

pub(super) type Attributes = HashMap<String, MessageAttributeValue>;

/// The key of the work.
pub(super) const KEY: &str = "IdempotencyKey";
/// Attempts that had failed when the message was sent anew.
pub(super) const FAILED: &str = "FailedAttempts";
/// Of a message that is set aside: why, and after how many attempts.
pub(super) const EXCEPTION: &str = "Exception";
pub(super) const ATTEMPTS: &str = "Attempts";

/// SQS takes no more attributes.
const MAX_ATTRIBUTES: usize = 10;

/// As many of a message's attributes as there is room for beside these, by name, and these.
pub(super) fn with_own<const N: usize>(
    others: &Attributes,
    own: [(&str, &str); N],
) -> Result<Attributes, BuildError> {
    let is_kept = |name: &&String| *name != FAILED && own.iter().all(|(own, _)| own != name);
    let mut names: Vec<_> = others.keys().filter(is_kept).collect();
    names.sort_unstable();
    let mut attributes: Attributes = names
        .into_iter()
        .take(MAX_ATTRIBUTES - N)
        .map(|name| (name.clone(), others[name].clone()))
        .collect();
    for (name, text) in own {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(text);
        attributes.insert(name.to_owned(), value.build()?);
    }
    Ok(attributes)
}

/// Whether there is room for all of a message's attributes beside its key and the number of its failed attempts.
pub(super) fn can_be_sent_anew(others: &Attributes) -> bool {
    let own = [KEY, FAILED];
    let others = others.keys().filter(|name| !own.contains(&name.as_str()));
    others.count() + own.len() <= MAX_ATTRIBUTES
}

pub(super) fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.get(name)?.string_value.as_deref()
}
