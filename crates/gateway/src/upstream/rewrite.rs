//! Changes to a request's body that a policy asked for through the envelope. All else in the body stays
//! byte for byte.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tower_bedrock_core::{ModelId, ServiceTier};

use crate::Operation;

/// A JSON object of which single members can be replaced.
type Object = BTreeMap<String, Box<RawValue>>;

/// The names that families of models give the bound on their output, with the object each stands in.
pub(crate) const BOUNDS: [(Option<&str>, &str); 9] = [
    (None, "max_tokens"),
    (None, "max_completion_tokens"),
    (None, "max_tokens_to_sample"),
    (None, "max_gen_len"),
    (None, "max_new_tokens"),
    (Some("inferenceConfig"), "maxTokens"),
    (Some("inferenceConfig"), "max_new_tokens"),
    (Some("textGenerationConfig"), "maxTokenCount"),
    (Some("generation_config"), "max_tokens"),
];

/// The body with its output bounded; `None` where this kind of body has no place for a bound.
pub(super) fn max_output_tokens(
    operation: Operation,
    model: &ModelId,
    body: &[u8],
    bound: u64,
) -> Option<Vec<u8>> {
    let mut object: Object = serde_json::from_slice(body).ok()?;
    let (parent, name) = match operation {
        Operation::Converse | Operation::ConverseStream => (Some("inferenceConfig"), "maxTokens"),
        Operation::InvokeModel | Operation::InvokeModelWithResponseStream => {
            place_of_bound(&object).or_else(|| {
                let anthropic = model.base().starts_with("anthropic.");
                anthropic.then_some((None, "max_tokens"))
            })?
        }
        Operation::CountTokens => return None,
    };
    let Some(parent) = parent else {
        set(&mut object, name, &bound)?;
        return serde_json::to_vec(&object).ok();
    };
    let mut inner: Object = match object.get(parent) {
        Some(json) => serde_json::from_str(json.get()).ok()?,
        None => Object::new(),
    };
    set(&mut inner, name, &bound)?;
    set(&mut object, parent, &inner)?;
    serde_json::to_vec(&object).ok()
}

/// A Converse body with its service tier set.
pub(super) fn service_tier(body: &[u8], tier: ServiceTier) -> Option<Vec<u8>> {
    let mut object: Object = serde_json::from_slice(body).ok()?;
    let tier = BTreeMap::from([("type", tier.as_str())]);
    set(&mut object, "serviceTier", &tier)?;
    serde_json::to_vec(&object).ok()
}

/// Where this body sets its bound, whatever family it belongs to.
fn place_of_bound(object: &Object) -> Option<(Option<&'static str>, &'static str)> {
    BOUNDS.into_iter().find(|(parent, name)| match parent {
        None => object.contains_key(*name),
        Some(parent) => object
            .get(*parent)
            .and_then(|raw| serde_json::from_str::<Object>(raw.get()).ok())
            .is_some_and(|inner| inner.contains_key(*name)),
    })
}

fn set(object: &mut Object, name: &str, value: &impl Serialize) -> Option<()> {
    object.insert(name.to_owned(), to_raw_value(value).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn bounded(operation: Operation, model: &str, body: &Value) -> Option<Value> {
        let model = model.parse().unwrap();
        let body = serde_json::to_vec(body).unwrap();
        let body = max_output_tokens(operation, &model, &body, 7)?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn the_bound_goes_where_the_body_keeps_it() {
        use Operation::{Converse, InvokeModel};
        let cases = [
            (
                Converse,
                "a.b",
                json!({"messages": []}),
                json!({"messages": [], "inferenceConfig": {"maxTokens": 7}}),
            ),
            (
                Converse,
                "a.b",
                json!({"inferenceConfig": {"maxTokens": 900, "topP": 0.5}}),
                json!({"inferenceConfig": {"maxTokens": 7, "topP": 0.5}}),
            ),
            (
                InvokeModel,
                "us.anthropic.claude",
                json!({"messages": []}),
                json!({"messages": [], "max_tokens": 7}),
            ),
            (
                InvokeModel,
                "meta.llama",
                json!({"prompt": "", "max_gen_len": 900}),
                json!({"prompt": "", "max_gen_len": 7}),
            ),
            (
                InvokeModel,
                "amazon.titan",
                json!({"textGenerationConfig": {"maxTokenCount": 900}}),
                json!({"textGenerationConfig": {"maxTokenCount": 7}}),
            ),
        ];
        for (operation, model, body, expected) in cases {
            assert_eq!(
                bounded(operation, model, &body),
                Some(expected),
                "{operation} {model}"
            );
        }
    }

    #[test]
    fn a_body_with_no_place_for_a_bound_is_left_alone() {
        let prompt = json!({"prompt": ""});
        assert_eq!(bounded(Operation::InvokeModel, "meta.llama", &prompt), None);
        assert_eq!(bounded(Operation::CountTokens, "a.b", &prompt), None);
        assert_eq!(
            max_output_tokens(Operation::Converse, &"a.b".parse().unwrap(), b"[", 7),
            None
        );
    }

    #[test]
    fn all_else_stays_byte_for_byte() {
        let body = br#"{"a": 1.0e3,"messages": [ "\u00e9" , 12345678901234567890123 ]}"#;
        let body = service_tier(body, ServiceTier::Flex).unwrap();
        let expected = r#"{"a":1.0e3,"messages":[ "\u00e9" , 12345678901234567890123 ],"serviceTier":{"type":"flex"}}"#;
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
