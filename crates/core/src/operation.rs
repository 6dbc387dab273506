use std::{fmt, str::FromStr};

/// The operations of Bedrock's runtime that policies apply to.
///
/// ```
/// use tower_bedrock_core::Operation;
///
/// let operation: Operation = "ConverseStream".parse()?;
/// assert!(operation.is_streaming());
/// assert_eq!(operation.segment(), "converse-stream");
/// # Ok::<(), tower_bedrock_core::UnknownOperation>(())
/// ```
///
/// All are `POST /model/{modelId}/{segment}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A conversation, answered whole.
    Converse,
    /// A conversation, answered as it is generated.
    ConverseStream,
    /// A model's own request body, answered whole.
    InvokeModel,
    /// A model's own request body, answered as it is generated.
    InvokeModelWithResponseStream,
    /// Counts the tokens of an input. Free: it uses no quota.
    CountTokens,
}

/// The name of an operation that is none of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "operation {0:?} is not known: expected one of Converse, ConverseStream, InvokeModel, \
     InvokeModelWithResponseStream, CountTokens"
)]
pub struct UnknownOperation(String);

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
    pub const fn is_streaming(self) -> bool {
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

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == name)
            .ok_or_else(|| UnknownOperation(name.chars().take(64).collect()))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
