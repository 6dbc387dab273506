//! What one event tells about the answer it is part of.

use aws_sdk_bedrockruntime::error::ProvideErrorMetadata;
use tower_bedrock_core::TokenUsage;

/// An event of one of Bedrock's streams: `types::ConverseStreamOutput` or `types::ResponseStream`.
///
/// Sealed: the two are the ones there are.
pub trait StreamEvent: sealed::Event {}

pub(crate) mod sealed {
    use super::{Meaning, ProvideErrorMetadata};

    pub trait Event: Clone + Send + Sync + Unpin + 'static {
        /// The SDK's error for an exception inside the stream.
        type Error: ProvideErrorMetadata + std::error::Error + Send + Sync + Unpin + 'static;

        fn meaning(&self) -> Meaning;

        /// About how much memory it takes besides its own size; `None` where it has parts that can't be measured.
        fn bytes(&self) -> Option<usize>;
    }
}

/// What one event tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Whether it is content, or comes after it. The events before carry nothing a reader would miss.
    pub(crate) commits: bool,
    /// Whether the answer is whole with it; `None` where it does not say.
    pub(crate) whole: Option<bool>,
    /// Whether nothing is to follow it, if the answer is whole.
    pub(crate) last: bool,
    /// The tokens used, where it says.
    pub(crate) usage: Option<TokenUsage>,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    whole: bool,
    last: bool,
}

impl Progress {
    pub(crate) fn observe(&mut self, meaning: &Meaning) {
        self.whole = meaning.whole.unwrap_or(self.whole);
        self.last = self.last || (meaning.last && self.whole);
    }

    /// Whether the stream may end here.
    pub(crate) const fn is_whole(self) -> bool {
        self.whole
    }

    /// Whether everything has arrived, so that how the connection ends does not matter any more.
    pub(crate) const fn is_complete(self) -> bool {
        self.last
    }
}
