//! JSON by its meaning: without white space, with an object's members in order and a string's escapes undone.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// Deeper than requests are. Each level is read once more than the one around it, so the depth is what it costs.
const DEEPEST: u32 = 32;

/// Adds a JSON text to a digest; `None` where it is none, has an object with two members of one name, or is nested too deeply. Numbers go in as they are written: as numbers, large ones
/// would be rounded, and different requests would be the same.
pub(crate) fn digest(json: &str, digest: &mut Sha256) -> Option<()> {
    let json: &RawValue = serde_json::from_str(json).ok()?;
    value(json, DEEPEST, digest)
}

/// Each kind of value has a first byte of its own, and what has parts says how many.
fn value(json: &RawValue, deepest: u32, digest: &mut Sha256) -> Option<()> {
    let deepest = deepest.checked_sub(1)?;
    let text = json.get();
    match text.as_bytes().first()? {
        first @ b'{' => {
            let Members(members) = serde_json::from_str(text).ok()?;
            begin(*first, members.len(), digest);
            members.into_iter().try_for_each(|(name, member)| {
                string(&name, digest);
                value(member, deepest, digest)
            })
        }
        first @ b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            begin(*first, elements.len(), digest);
            elements
                .into_iter()
                .try_for_each(|element| value(element, deepest, digest))
        }
        b'"' => {
            string(&serde_json::from_str::<String>(text).ok()?, digest);
            Some(())
        }
        _ => {
            begin(b'0', text.len(), digest);
            digest.update(text);
            Some(())
        }
    }
}

/// An object's members. Which of two of one name counts is up to whoever reads it, so there may be no two.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, member)) = map.next_entry()? {
            if members.insert(name, member).is_some() {
                return Err(A::Error::custom("two members of one name"));
            }
        }
        Ok(Members(members))
    }
}

fn string(text: &str, digest: &mut Sha256) {
    begin(b'"', text.len(), digest);
    digest.update(text);
}

fn begin(kind: u8, parts: usize, digest: &mut Sha256) {
    digest.update([kind]);
    digest.update((parts as u64).to_be_bytes());
}
