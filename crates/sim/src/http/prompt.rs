//! What a model is to read, piece by piece: how many tokens it is, and what of it may be cached.

use std::hash::{DefaultHasher, Hasher};

use tokio::time::Duration;

use crate::Input;

/// A prompt as it is read, in the order in which models read: tools, system, messages.
#[derive(Default)]
pub(super) struct Prompt {
    input: Input,
    read: DefaultHasher,
    cache_points: Vec<CachePoint>,
}

/// All that stands before a mark that a caller set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CachePoint {
    /// What it is, by its hash.
    pub(super) prefix: u64,
    /// How much it is.
    pub(super) input: Input,
    /// How long it is to be kept.
    pub(super) time_to_live: Duration,
}

/// What a body asks for.
pub(super) struct Question {
    pub(super) prompt: Prompt,
    pub(super) max_tokens: Option<u64>,
}

impl Prompt {
    pub(super) fn text(&mut self, text: &str) {
        self.input.add_text(text);
        self.note(b't', text.as_bytes());
    }

    pub(super) fn message(&mut self, role: &str) {
        self.input.add_message();
        self.note(b'm', role.as_bytes());
    }

    pub(super) fn tool_json(&mut self, json: &str) {
        self.input.add_tool_json(json);
        self.note(b'j', json.as_bytes());
    }

    /// Only the length of attachments is kept, so two of one length pass for the same.
    pub(super) fn document(&mut self, bytes: u64) {
        self.input.add_document(bytes);
        self.note(b'd', &bytes.to_be_bytes());
    }

    /// An image costs what it costs, however many bytes it is.
    pub(super) fn image(&mut self, bytes: u64) {
        self.input.add_image();
        self.note(b'i', &bytes.to_be_bytes());
    }

    /// What was read so far may be cached.
    pub(super) fn cache_point(&mut self, ttl: Option<&str>) {
        self.cache_points.push(CachePoint {
            prefix: self.read.finish(),
            input: self.input,
            time_to_live: match ttl {
                Some("1h") => Duration::from_secs(60 * 60),
                _ => Duration::from_secs(5 * 60),
            },
        });
    }

    /// How much there is to read in all.
    pub(super) const fn input(&self) -> Input {
        self.input
    }

    /// What may be cached, the shortest first.
    pub(super) fn cache_points(&self) -> &[CachePoint] {
        &self.cache_points
    }

    /// The length keeps pieces apart: "ab" and "c" are not "a" and "bc".
    fn note(&mut self, kind: u8, bytes: &[u8]) {
        self.read.write_u8(kind);
        self.read.write_usize(bytes.len());
        self.read.write(bytes);
    }
}
