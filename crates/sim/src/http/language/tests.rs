use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn bodies() -> Vec<(Operation, &'static str, Value)> {
    let blocks = json!([
        { "text": "a" },
        { "image": { "format": "png", "source": { "bytes": "AAAA" } } },
        { "document": { "name": "d", "source": { "content": [{ "text": "b" }] } } },
        { "cachePoint": { "type": "default" } },
        { "toolResult": { "toolUseId": "i", "content": [{ "json": { "a": 1 } }] } },
    ]);
    let conversation = json!({
        "messages": [{ "role": "user", "content": blocks }],
        "system": [{ "text": "s" }],
        "toolConfig": { "tools": [{ "systemTool": { "name": "t" } }] },
    });
    let mut converse = conversation.clone();
    converse["inferenceConfig"] = json!({ "maxTokens": 1, "temperature": 0.5 });
    let mut nova = conversation.clone();
    nova["inferenceConfig"] = json!({ "max_new_tokens": 1, "topK": 5 });
    let anthropic = json!({
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 1,
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "a", "cache_control": { "type": "ephemeral" } },
                { "type": "tool_result", "tool_use_id": "i", "content": "b" },
            ] },
            { "role": "assistant", "content": "c" },
        ],
        "system": "s",
        "tools": [{ "name": "t", "input_schema": {} }],
    });
    let counted = json!({ "input": { "converse": conversation } });
    vec![
        (Operation::Converse, "a.b", converse),
        (Operation::InvokeModel, "amazon.nova-lite-v1:0", nova),
        (Operation::InvokeModel, "anthropic.claude-3", anthropic),
        (Operation::CountTokens, "a.b", counted),
    ]
}

fn read_bytes(operation: Operation, model: &str, body: &[u8]) -> Result<Asked, ServiceError> {
    let model = model.parse().unwrap();
    read(operation, &model, &HeaderMap::new(), body, "id")
}

#[test]
fn what_the_property_starts_from_is_right() {
    for (operation, model, body) in bodies() {
        let asked = read_bytes(operation, model, body.to_string().as_bytes());
        assert!(asked.is_ok(), "{model}: {:?}", asked.err());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,8}", inner), 0..4)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Every value in a JSON text, in the order in which a reader meets them.
fn nth_value(value: &mut Value, nth: &mut usize, replacement: &Value) -> bool {
    if *nth == 0 {
        *value = replacement.clone();
        return true;
    }
    *nth -= 1;
    match value {
        Value::Array(values) => values
            .iter_mut()
            .any(|value| nth_value(value, nth, replacement)),
        Value::Object(fields) => fields
            .values_mut()
            .any(|value| nth_value(value, nth, replacement)),
        _ => false,
    }
}

proptest! {
    /// Whatever stands in a body, and wherever it breaks off, is read or is the client's mistake.
    #[test]
    fn what_is_wrong_with_a_body_is_the_clients_mistake(
        which in 0..4_usize,
        mut nth in 0..60_usize,
        replacement in any_json(),
        length in prop::option::of(0..1_000_usize),
    ) {
        let (operation, model, mut body) = bodies().swap_remove(which);
        nth_value(&mut body, &mut nth, &replacement);
        let text = body.to_string();
        let text = &text.as_bytes()[..length.unwrap_or(text.len()).min(text.len())];
        if let Err(error) = read_bytes(operation, model, text) {
            prop_assert_eq!(error.status(), 400);
        }
    }

    #[test]
    fn bytes_that_are_no_json_are_the_clients_mistake(
        which in 0..4_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let (operation, model, _) = bodies().swap_remove(which);
        if let Err(error) = read_bytes(operation, model, &bytes) {
            prop_assert_eq!(error.status(), 400);
        }
    }
}
