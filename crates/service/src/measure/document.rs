//! The size of a JSON document, without writing it.

use aws_smithy_types::{Document, Number};

/// Bedrock refuses documents nested far less deeply. What lies deeper is not counted, so that measuring
/// can't overflow the stack.
const MAX_DEPTH: usize = 128;

/// The bytes that `document` has as compact JSON; escapes are not counted.
pub(super) fn json_bytes(document: &Document) -> u64 {
    bytes_within(document, MAX_DEPTH)
}

fn bytes_within(document: &Document, depth: usize) -> u64 {
    let Some(below) = depth.checked_sub(1) else {
        return 0;
    };
    match document {
        Document::Null => 4,
        Document::Bool(value) => 5 - u64::from(*value),
        Document::Number(number) => digits(number),
        Document::String(text) => quoted(text),
        // A comma for each but the last, and two brackets.
        Document::Array(items) => {
            items
                .iter()
                .map(|item| bytes_within(item, below) + 1)
                .sum::<u64>()
                .max(1)
                + 1
        }
        Document::Object(fields) => {
            fields
                .iter()
                .map(|(key, value)| quoted(key) + 1 + bytes_within(value, below) + 1)
                .sum::<u64>()
                .max(1)
                + 1
        }
    }
}

fn quoted(text: &str) -> u64 {
    text.len() as u64 + 2
}

fn digits(number: &Number) -> u64 {
    let count = |n: u64| u64::from(n.checked_ilog10().unwrap_or(0)) + 1;
    match number {
        Number::PosInt(n) => count(*n),
        Number::NegInt(n) => count(n.unsigned_abs()) + 1,
        // Seventeen digits at most; few are written with all of them.
        Number::Float(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn document(value: &Value) -> Document {
        match value {
            Value::Null => Document::Null,
            Value::Bool(b) => Document::Bool(*b),
            Value::Number(n) => Document::Number(
                n.as_u64()
                    .map_or_else(|| Number::NegInt(n.as_i64().unwrap()), Number::PosInt),
            ),
            Value::String(s) => Document::String(s.clone()),
            Value::Array(items) => Document::Array(items.iter().map(document).collect()),
            Value::Object(fields) => Document::Object(
                fields
                    .iter()
                    .map(|(k, v)| (k.clone(), document(v)))
                    .collect::<HashMap<_, _>>(),
            ),
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            // Without the characters that JSON escapes.
            "[a-zé世 ]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{1,8}", inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn is_what_a_serializer_writes(value in json()) {
            prop_assert_eq!(json_bytes(&document(&value)), value.to_string().len() as u64);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut deep = Document::Null;
        for _ in 0..MAX_DEPTH * 2 {
            deep = Document::Array(vec![deep]);
        }
        assert!(json_bytes(&deep) <= 2 * MAX_DEPTH as u64 + 2);
    }
}
