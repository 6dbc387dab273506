use std::fmt;

/// The operations of Bedrock's runtime that policies apply to. All are `POST /model/{modelId}/{segment}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `converse`
    Converse,
    /// `converse-stream`
    ConverseStream,
    /// `invoke`
    InvokeModel,
    /// `invoke-with-response-stream`
    InvokeModelWithResponseStream,
    /// `count-tokens`
    CountTokens,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 5] = [
        Self::Converse,
        Self::ConverseStream,
        Self::InvokeModel,
        Self::InvokeModelWithResponseStream,
        Self::CountTokens,
    ];

    /// The operation's name in the service model.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Converse => "Converse",
            Self::ConverseStream => "ConverseStream",
            Self::InvokeModel => "InvokeModel",
            Self::InvokeModelWithResponseStream => "InvokeModelWithResponseStream",
            Self::CountTokens => "CountTokens",
        }
    }

    /// The last segment of the operation's path.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Converse => "converse",
            Self::ConverseStream => "converse-stream",
            Self::InvokeModel => "invoke",
            Self::InvokeModelWithResponseStream => "invoke-with-response-stream",
            Self::CountTokens => "count-tokens",
        }
    }

    /// Whether the answer is an event stream.
    #[must_use]
    pub const fn streams(self) -> bool {
        matches!(
            self,
            Self::ConverseStream | Self::InvokeModelWithResponseStream
        )
    }

    /// Whether the request's body is Converse's: JSON of one shape for all models.
    #[must_use]
    pub const fn is_converse(self) -> bool {
        matches!(self, Self::Converse | Self::ConverseStream)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
