//! `InvokeModel` bodies: the model's own JSON, read once and without building it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use tower_bedrock_core::{Content, Demand};

/// What a body may cost. A body that is not JSON counts as text.
///
/// Knows the shapes of the models that Bedrock serves by what they have in common: the names of the bound
/// on the output, `tools`, and base64 under `data` or `bytes`. What it does not know counts as text.
pub(crate) fn of_body(body: &[u8]) -> Demand {
    let mut found = Found::default();
    let mut json = serde_json::Deserializer::from_slice(body);
    let walk = Walk {
        found: &mut found,
        place: Place::Text,
        depth: 0,
    };
    if walk.deserialize(&mut json).is_err() || json.end().is_err() {
        let ascii = body.iter().filter(|b| b.is_ascii()).count() as u64;
        found = Found::default();
        found.content.ascii_bytes = ascii;
        found.content.non_ascii_bytes = body.len() as u64 - ascii;
    }
    let demand = Demand::from(found.content);
    match found.max_tokens {
        Some(max) => demand.with_max_output_tokens(max),
        None => demand,
    }
}

#[derive(Default)]
struct Found {
    content: Content,
    max_tokens: Option<u64>,
    /// The attachment whose object is being read.
    length: Option<u64>,
    media: Option<Media>,
}

/// What a value is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Text,
    Tool,
    /// Inside an image, a document or another attachment of the Converse shape.
    Attached(Media),
    /// Base64, or the text that stands in its place.
    Data,
    MediaType,
    /// The bound on the output.
    MaxTokens,
    /// Names and constants.
    Label,
}

#[derive(Clone, Copy, PartialEq)]
enum Media {
    Image,
    Document,
    Text,
    /// Audio and video, whose tokens go by their length in time.
    Timed,
}

impl Media {
    fn of(media_type: &str) -> Self {
        match media_type.split_once('/') {
            Some(("image", _)) => Self::Image,
            Some(("audio" | "video", _)) => Self::Timed,
            Some(("text", _)) => Self::Text,
            _ => Self::Document,
        }
    }
}

impl Found {
    fn add_string(&mut self, place: Place, text: &str) {
        let length = text.len() as u64;
        match place {
            Place::Text if text.starts_with("data:image/") => self.content.images += 1,
            Place::Text | Place::MaxTokens => self.content.add_text(text),
            Place::Tool => self.content.tool_bytes += length + 2,
            Place::Data => self.length = Some(length),
            Place::MediaType => self.media = Some(Media::of(text)),
            Place::Attached(_) | Place::Label => {}
        }
    }

    fn add_attachment(&mut self, media: Media, length: u64) {
        match media {
            Media::Image => self.content.images += 1,
            Media::Document => self.content.document_bytes += length / 4 * 3,
            Media::Text => self.content.ascii_bytes += length,
            Media::Timed => {}
        }
    }
}

/// Reads one value.
struct Walk<'f> {
    found: &'f mut Found,
    place: Place,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.found.add_string(self.place, text);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if self.place == Place::MaxTokens {
            self.found.max_tokens = Some(number);
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(()) = items.next_element_seed(Walk {
            found: &mut *self.found,
            place: self.place,
            depth: self.depth.saturating_add(1),
        })? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut length = None;
        let mut media = match self.place {
            Place::Attached(media) => media,
            _ => Media::Document,
        };
        while let Some((place, key_bytes)) = fields.next_key_seed(Key {
            place: self.place,
            depth: self.depth,
        })? {
            if self.place == Place::Tool {
                self.found.content.tool_bytes += key_bytes;
            }
            fields.next_value_seed(Walk {
                found: &mut *self.found,
                place,
                depth: self.depth.saturating_add(1),
            })?;
            // Anthropic names an attachment's type beside its data, in either order.
            length = self.found.length.take().or(length);
            media = self.found.media.take().unwrap_or(media);
        }
        if let Some(length) = length {
            self.found.add_attachment(media, length);
        }
        Ok(())
    }
}

/// Reads a field's name: what its value is, and the bytes of the name.
struct Key {
    place: Place,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = (Place, u64);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = (Place, u64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let place = match (self.place, key) {
            (Place::Tool, _) => Place::Tool,
            (_, "data" | "bytes") => Place::Data,
            (_, "media_type") => Place::MediaType,
            (Place::Attached(_), "text") => Place::Text,
            (Place::Attached(media), _) => Place::Attached(media),
            (_, "tools" | "toolConfig" | "toolUse" | "functions" | "input") => Place::Tool,
            (_, "image") => Place::Attached(Media::Image),
            (_, "document") => Place::Attached(Media::Document),
            (_, "video" | "audio") => Place::Attached(Media::Timed),
            (_, "type" | "role" | "id" | "tool_use_id" | "anthropic_version") => Place::Label,
            // At the top, or in `inferenceConfig` and its like.
            (_, "max_tokens" | "maxTokens" | "max_new_tokens" | "max_completion_tokens")
            | (_, "max_tokens_to_sample" | "max_gen_len" | "maxTokenCount")
                if self.depth < 2 =>
            {
                Place::MaxTokens
            }
            _ => Place::Text,
        };
        Ok((place, key.len() as u64 + 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(body: &str) -> Content {
        of_body(body.as_bytes()).content()
    }

    #[test]
    fn each_family_names_the_bound_on_the_output_in_its_own_way() {
        for body in [
            r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":300,"messages":[]}"#,
            r#"{"prompt":"Hi","max_gen_len":300}"#,
            r#"{"messages":[],"inferenceConfig":{"maxTokens":300}}"#,
            r#"{"inputText":"Hi","textGenerationConfig":{"maxTokenCount":300}}"#,
            r#"{"messages":[],"max_completion_tokens":300}"#,
        ] {
            assert_eq!(
                of_body(body.as_bytes()).max_output_tokens(),
                Some(300),
                "{body}"
            );
        }
        for body in [
            r#"{"max_tokens":"300"}"#,
            r#"{"max_tokens":-300}"#,
            r#"{"max_tokens":null}"#,
            r#"{"messages":[{"content":[{"max_tokens":300}]}]}"#,
            r#"{"tools":[{"input_schema":{"max_tokens":300}}]}"#,
            "not JSON, max_tokens 300",
            r#"{"max_tokens":300"#,
        ] {
            assert_eq!(of_body(body.as_bytes()).max_output_tokens(), None, "{body}");
        }
    }

    #[test]
    fn text_is_counted_by_its_characters() {
        let body =
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Bonjour é\n"}]}]}"#;
        let content = content(body);
        assert_eq!((content.ascii_bytes, content.non_ascii_bytes), (9, 2));
        assert_eq!(content.total_bytes(), 11);
    }

    #[test]
    fn base64_is_no_text() {
        let data = "QUJD".repeat(1_000);
        let anthropic = format!(
            r#"{{"messages":[{{"content":[
                {{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}},
                {{"type":"image","source":{{"data":"{data}","media_type":"image/png"}}}},
                {{"type":"document","source":{{"media_type":"application/pdf","data":"{data}"}}}},
                {{"type":"document","source":{{"media_type":"text/plain","data":"plain"}}}}]}}]}}"#
        );
        let found = content(&anthropic);
        assert_eq!(
            (found.images, found.document_bytes, found.ascii_bytes),
            (2, 3_000, 5)
        );

        let nova = format!(
            r#"{{"messages":[{{"content":[
                {{"image":{{"format":"png","source":{{"bytes":"{data}"}}}}}},
                {{"document":{{"format":"pdf","name":"a","source":{{"bytes":"{data}"}}}}}},
                {{"video":{{"format":"mp4","source":{{"bytes":"{data}"}}}}}},
                {{"text":"plain"}}]}}]}}"#
        );
        let found = content(&nova);
        assert_eq!(
            (found.images, found.document_bytes, found.ascii_bytes),
            (1, 3_000, 5)
        );

        let openai = format!(
            r#"{{"messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
        );
        let found = content(&openai);
        assert_eq!((found.images, found.total_bytes()), (1, 0));
    }

    #[test]
    fn tools_are_counted_apart() {
        let tools = r#"[{"name":"weather","input_schema":{"type":"object"}}]"#;
        let body = format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}],"tools":{tools}}}"#);
        let found = content(&body);
        assert_eq!(found.ascii_bytes, 2);
        // Brackets and numbers are left out.
        assert!(
            (30..=tools.len() as u64).contains(&found.tool_bytes),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_not_json_is_measured_whole() {
        for body in ["plain é", r#"{"prompt":"cut"#, r#"{"a":1} {"b":2}"#, ""] {
            assert_eq!(content(body).total_bytes(), body.len() as u64, "{body}");
        }
        assert_eq!(of_body(&[0xff, 0x00]).content().non_ascii_bytes, 1);
        // Nested more deeply than the parser goes.
        let deep = "[".repeat(10_000);
        assert_eq!(content(&deep).total_bytes(), 10_000);
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..256)) {
            let demand = of_body(&body);
            proptest::prop_assert!(demand.content().total_bytes() <= body.len() as u64);
        }
    }
}
