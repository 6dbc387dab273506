//! What a request may cost, read from its body.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use tower_bedrock_core::{Content, Demand};

use crate::{Operation, upstream::BOUNDS};

/// What a request of `operation` with this body may cost.
///
/// # Errors
///
/// Why a Converse body is not JSON. What InvokeModel takes is between the client and the model: a body
/// that cannot be read counts by its size.
pub(crate) fn demand(operation: Operation, body: &[u8]) -> Result<Demand, serde_json::Error> {
    // Counting tokens is free.
    if operation == Operation::CountTokens {
        return Ok(Demand::new(0).with_max_output_tokens(0));
    }
    let mut tally = Tally::default();
    let mut json = serde_json::Deserializer::from_slice(body);
    let measured = tally.look(Place::Body(None)).deserialize(&mut json);
    if let Err(error) = measured.and_then(|()| json.end()) {
        if operation.is_converse() {
            return Err(error);
        }
        tally = Tally::default();
        tally.content.ascii_bytes = body.len() as u64;
    }
    let demand = Demand::from(tally.content);
    Ok(match tally.max_output_tokens {
        Some(bound) => demand.with_max_output_tokens(bound),
        None => demand,
    })
}

/// What has been seen of a body. One pass over it, and nothing of it is kept.
#[derive(Default)]
struct Tally {
    content: Content,
    max_output_tokens: Option<u64>,
}

/// Where a value stands, which says what its strings count as.
#[derive(Clone, Copy)]
enum Place<'t> {
    /// The body itself, or the member of it with this name: where bounds stand. Strings are text.
    Body(Option<&'t str>),
    /// Strings are text.
    Text,
    /// Strings and names are a tool's.
    Tool,
    /// Strings are base64.
    Document,
}

/// Looks at one value.
struct Look<'t> {
    tally: &'t mut Tally,
    place: Place<'t>,
}

/// What Converse and the Messages API name definitions, inputs and results of tools.
const TOOLS: [&str; 6] = [
    "toolConfig",
    "toolUse",
    "toolResult",
    "tools",
    "input",
    "input_schema",
];

impl Tally {
    fn look<'t>(&'t mut self, place: Place<'t>) -> Look<'t> {
        Look { tally: self, place }
    }

    fn add_tool_bytes(&mut self, bytes: usize) {
        let tool_bytes = &mut self.content.tool_bytes;
        *tool_bytes = tool_bytes.saturating_add(bytes as u64);
    }

    fn add_document_bytes(&mut self, bytes: u64) {
        let document_bytes = &mut self.content.document_bytes;
        *document_bytes = document_bytes.saturating_add(bytes);
    }

    fn add_image(&mut self) {
        self.content.images = self.content.images.saturating_add(1);
    }
}

impl Place<'_> {
    /// Where the members of an object that stands here stand themselves.
    fn of_member<'t>(self, name: &'t str) -> Place<'t> {
        match self {
            Place::Tool => Place::Tool,
            _ if TOOLS.contains(&name) => Place::Tool,
            Place::Document => Place::Document,
            _ if name == "document" => Place::Document,
            Place::Body(None) => Place::Body(Some(name)),
            Place::Body(Some(_)) | Place::Text => Place::Text,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Body(_) | Place::Text => self.tally.content.add_text(text),
            Place::Tool => self.tally.add_tool_bytes(text.len()),
            Place::Document => {
                let decoded = (text.len() as u64).saturating_mul(3) / 4;
                self.tally.add_document_bytes(decoded);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { tally, place } = self;
        let place = match place {
            Place::Body(_) => Place::Text,
            place => place,
        };
        while items.next_element_seed(tally.look(place))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { tally, place } = self;
        // The Messages API says beside the source what the source is of, before it or after.
        let mut is_image = false;
        let mut source = Tally::default();
        while let Some(Name(name)) = members.next_key()? {
            let name = name.as_ref();
            match place {
                Place::Body(parent) if BOUNDS.contains(&(parent, name)) => {
                    let bound: &RawValue = members.next_value()?;
                    tally.max_output_tokens = bound.get().parse().ok().or(tally.max_output_tokens);
                }
                Place::Text if name == "type" => {
                    is_image = members.next_value::<&RawValue>()?.get() == r#""image""#;
                }
                Place::Text if name == "source" => {
                    members.next_value_seed(source.look(Place::Document))?;
                }
                _ if name == "image" => {
                    tally.add_image();
                    members.next_value::<IgnoredAny>()?;
                }
                _ => {
                    if let Place::Tool = place {
                        tally.add_tool_bytes(name.len());
                    }
                    members.next_value_seed(tally.look(place.of_member(name)))?;
                }
            }
        }
        if is_image {
            tally.add_image();
        } else {
            tally.add_document_bytes(source.content.document_bytes);
        }
        Ok(())
    }

    // What is neither text nor a container costs next to nothing.

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn content(body: &Value) -> Content {
        demand(Operation::InvokeModel, &serde_json::to_vec(body).unwrap())
            .unwrap()
            .content()
    }

    fn bound(operation: Operation, body: &str) -> Option<u64> {
        demand(operation, body.as_bytes())
            .unwrap()
            .max_output_tokens()
    }

    #[test]
    fn a_converse_body_by_class() {
        let body = json!({
            "system": [{"text": "12345"}],
            "messages": [
                {"role": "user", "content": [
                    {"text": "abc\u{4f60}"},
                    {"image": {"format": "png", "source": {"bytes": "AAAAAAAA"}}},
                    {"document": {"source": {"bytes": "AAAAAAAA"}}},
                ]},
                {"role": "user", "content": [
                    {"toolResult": {"content": [{"text": "123"}, {"image": {"source": {"bytes": "AAAA"}}}]}},
                ]},
            ],
            "toolConfig": {"tools": [{"toolSpec": {"name": "n"}}]},
        });
        // Roles count as the text they are; names only where they are a tool's.
        let roles = 2 * "user".len() as u64;
        let tools = ["content", "text", "123", "tools", "toolSpec", "name", "n"];
        let expected = Content {
            ascii_bytes: 5 + 3 + roles,
            non_ascii_bytes: 3,
            tool_bytes: tools.map(str::len).iter().sum::<usize>() as u64,
            document_bytes: 6,
            images: 2,
        };
        assert_eq!(content(&body), expected);
    }

    #[test]
    fn a_messages_body_tells_images_from_documents() {
        let source = json!({"data": "AAAAAAAA"});
        let body = json!({"messages": [{"content": [
            {"type": "image", "source": source},
            {"source": source, "type": "image"},
            {"type": "document", "source": source},
            {"type": "text", "text": "abcd"},
        ]}]});
        let expected = Content {
            ascii_bytes: 4,
            document_bytes: 6,
            images: 2,
            ..Content::default()
        };
        assert_eq!(content(&body), expected);
    }

    #[test]
    fn escapes_count_as_what_they_stand_for() {
        let body = br#"{"messages":[{"content":[{"text":"\u00e9\n\ud83d\ude00"}]}]}"#;
        let content = demand(Operation::Converse, body).unwrap().content();
        assert_eq!((content.ascii_bytes, content.non_ascii_bytes), (1, 6));
    }

    #[test]
    fn the_bound_of_each_family() {
        use Operation::{Converse, ConverseStream, InvokeModel};
        for (operation, body, expected) in [
            (Converse, r#"{"inferenceConfig":{"maxTokens":9}}"#, Some(9)),
            (ConverseStream, r#"{"inferenceConfig":{}}"#, None),
            (InvokeModel, r#"{"max_tokens":9,"messages":[]}"#, Some(9)),
            (InvokeModel, r#"{"max_gen_len":9}"#, Some(9)),
            (
                InvokeModel,
                r#"{"textGenerationConfig":{"maxTokenCount":9}}"#,
                Some(9),
            ),
            (InvokeModel, r#"{"max_tokens":-1}"#, None),
            (InvokeModel, r#"{"messages":[{"max_tokens":9}]}"#, None),
            (Operation::CountTokens, "anything", Some(0)),
        ] {
            assert_eq!(bound(operation, body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_not_json() {
        for body in ["", "{", "{}{}", r#"{"a":"#] {
            assert!(
                demand(Operation::Converse, body.as_bytes()).is_err(),
                "{body}"
            );
        }
        let audio = demand(Operation::InvokeModel, &[0xff; 40]).unwrap();
        assert_eq!(audio.input_tokens(), 10);
    }

    #[test]
    fn nesting_is_no_way_to_overflow_the_stack() {
        let body = "[".repeat(1_000_000);
        assert!(demand(Operation::Converse, body.as_bytes()).is_err());
    }
}
