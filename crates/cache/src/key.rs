use std::fmt;

use sha2::{Digest, Sha256};
use tower_bedrock_core::{HasTarget, ModelId, Route};

use crate::canonical;

/// What makes two calls the same: a SHA-256 digest of tenant, model, operation and request.
///
/// `Debug` shows the digest's first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a call with these bytes. Callers see to it that the same request has the same bytes.
    ///
    /// A model goes by its base: the Region and the inference profile that a call goes through don't change what
    /// it answers. What is one's own (a custom model, an endpoint, a prompt) goes by its whole ARN.
    pub fn of<Request: HasTarget>(call: &Request, operation: &str, request: &[u8]) -> Self {
        let mut digest = start(call, operation);
        digest.update(request);
        Self(digest.finalize().into())
    }

    /// The key of a call whose request is JSON, however its members are ordered and its white space is set;
    /// `None` where it is not JSON, has an object with two members of one name, or is nested more than 32 levels deep. Numbers are the same when they are written the same.
    pub fn of_json<Request: HasTarget>(
        call: &Request,
        operation: &str,
        request: &[u8],
    ) -> Option<Self> {
        let mut digest = start(call, operation);
        canonical::digest(std::str::from_utf8(request).ok()?, &mut digest)?;
        Some(Self(digest.finalize().into()))
    }
}

/// The digest of all but the request.
fn start<Request: HasTarget>(call: &Request, operation: &str) -> Sha256 {
    let tenant = call.context().tenant();
    let mut digest = Sha256::new();
    digest.update([u8::from(tenant.is_some())]);
    for part in [
        tenant.map_or("", |tenant| tenant.as_str()),
        identity(call.target().model()),
        operation,
    ] {
        // With its length before it, no part can be taken for the end of another.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest
}

/// What tells one model from another, whichever way it is called.
pub(crate) fn identity(model: &ModelId) -> &str {
    match model.route() {
        // The same name may be in another account or Region.
        Route::Dedicated | Route::Undetermined => model.as_str(),
        _ => model.base(),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        let start = u32::from_be_bytes([first, second, third, fourth]);
        write!(f, "Key({start:08x}..)")
    }
}

#[cfg(test)]
mod tests {
    use tower_bedrock_core::{Context, Invocation, Target};

    use super::*;

    fn call(region: &str, model: &str, tenant: Option<&str>) -> Invocation<()> {
        let context = tenant.map_or(Context::new(), |tenant| Context::new().with_tenant(tenant));
        Invocation::new(Target::parse(region, model).unwrap(), ()).with_context(context)
    }

    #[test]
    fn whatever_makes_another_answer_makes_another_key() {
        let nova = "amazon.nova-lite-v1:0";
        let key = |tenant, model, operation: &str, request: &str| {
            Key::of(
                &call("us-east-1", model, tenant),
                operation,
                request.as_bytes(),
            )
        };
        let keys = [
            key(None, nova, "Converse", "hello"),
            key(Some(""), nova, "Converse", "hello"),
            key(Some("a"), nova, "Converse", "hello"),
            key(Some("b"), nova, "Converse", "hello"),
            key(None, "amazon.nova-pro-v1:0", "Converse", "hello"),
            key(None, nova, "ConverseStream", "hello"),
            key(None, nova, "Converse", "hello."),
            // The same bytes in a row, divided in another place.
            key(None, nova, "Conversehel", "lo"),
            // The same name in two accounts.
            key(
                None,
                "arn:aws:sagemaker:us-east-1:111111111111:endpoint/mine",
                "Converse",
                "hello",
            ),
            key(
                None,
                "arn:aws:sagemaker:us-east-1:222222222222:endpoint/mine",
                "Converse",
                "hello",
            ),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
    }

    #[test]
    fn region_and_profile_make_no_other_key() {
        let key = |region, model| Key::of(&call(region, model, None), "Converse", b"hello");
        assert_eq!(
            key("us-east-1", "us.amazon.nova-lite-v1:0"),
            key("us-west-2", "amazon.nova-lite-v1:0")
        );
    }

    #[test]
    fn json_is_compared_by_its_meaning() {
        let call = call("us-east-1", "amazon.nova-lite-v1:0", None);
        let key = |json: &str| Key::of_json(&call, "Converse", json.as_bytes());
        let one = key(r#"{"a": [1, 2], "b": {"c": "x", "d": null}}"#);
        assert!(one.is_some());
        assert_eq!(one, key(r#"{"b":{"d":null,"c":"x"},"a":[1,2]}"#));
        assert_ne!(one, key(r#"{"b":{"d":null,"c":"x"},"a":[2,1]}"#));
        assert_eq!(key(r#""A""#), key(r#""\u0041""#));
        assert_ne!(
            key("12345678901234567890123"),
            key("12345678901234567890124")
        );
        assert_ne!(key(r#"{"a":"b"}"#), key(r#"["a","b"]"#));
        assert_ne!(key(r#"["a","b"]"#), key(r#"["a,b"]"#));
        assert_eq!(key("{"), None);
        // Some read the first of the two, and some the second.
        assert_eq!(key(r#"{"a":1,"a":2}"#), None);
        assert_eq!(key(r#"[{"b":{"a":1,"\u0061":2}}]"#), None);
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(key(&nested(32)).is_some());
        assert_eq!(key(&nested(33)), None);
        // Which would be deeper than any stack.
        assert_eq!(key(&nested(1_000_000)), None);
    }
}
