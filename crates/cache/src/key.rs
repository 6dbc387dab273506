use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tower_bedrock_core::HasTarget;

/// What makes two calls the same: a SHA-256 digest of tenant, model, operation and request.
///
/// `Debug` shows the digest's first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a call with these bytes. Callers see to it that the same request has the same bytes.
    ///
    /// The model goes by its base: the Region and the inference profile that a call goes through don't change
    /// what the model answers.
    pub fn of<Request: HasTarget>(call: &Request, operation: &str, request: &[u8]) -> Self {
        let tenant = call.context().tenant().map_or("", |tenant| tenant.as_str());
        let mut digest = Sha256::new();
        for part in [
            tenant.as_bytes(),
            call.target().model().base().as_bytes(),
            operation.as_bytes(),
            request,
        ] {
            // With its length before it, no part can be taken for the end of another.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// The key of a call whose request is JSON, however its members are ordered and its white space is set;
    /// `None` where it is not JSON.
    pub fn of_json<Request: HasTarget>(
        call: &Request,
        operation: &str,
        request: &[u8],
    ) -> Option<Self> {
        let mut canonical: Value = serde_json::from_slice(request).ok()?;
        canonical.sort_all_objects();
        let canonical = serde_json::to_vec(&canonical).ok()?;
        Some(Self::of(call, operation, &canonical))
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
            key(Some("a"), nova, "Converse", "hello"),
            key(Some("b"), nova, "Converse", "hello"),
            key(None, "amazon.nova-pro-v1:0", "Converse", "hello"),
            key(None, nova, "ConverseStream", "hello"),
            key(None, nova, "Converse", "hello."),
            // The same bytes in a row, divided in another place.
            key(None, nova, "Conversehel", "lo"),
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
        assert_eq!(key("{"), None);
    }
}
