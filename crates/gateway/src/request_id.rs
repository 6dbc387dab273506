use std::fmt;

use http::HeaderValue;
use uuid::Uuid;

/// The id of a call, made here. Clients get Bedrock's own where Bedrock answered; the log has both.
#[derive(Clone)]
pub(crate) struct RequestId {
    text: [u8; uuid::fmt::Hyphenated::LENGTH],
}

impl RequestId {
    pub(crate) fn new() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        Uuid::new_v4().hyphenated().encode_lower(&mut text);
        Self { text }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
