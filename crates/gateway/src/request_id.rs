use std::fmt;

use http::HeaderValue;
use uuid::Builder;

/// The id of a call, made here. Clients get Bedrock's own where Bedrock answered; the log has both.
#[derive(Clone)]
pub(crate) struct RequestId {
    text: [u8; uuid::fmt::Hyphenated::LENGTH],
}

impl RequestId {
    pub(crate) fn new() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        // The thread's own generator asks the system for randomness now and then, and not for each call.
        let id = Builder::from_random_bytes(rand::random()).into_uuid();
        id.hyphenated().encode_lower(&mut text);
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
