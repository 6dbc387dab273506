use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The operations the simulator knows. In JSON and TOML they go by the names Bedrock gives them.
///
/// ```
/// use bedrock_sim::Operation;
///
/// let operation: Operation = "ConverseStream".parse()?;
/// assert!(operation.is_stream());
/// # Ok::<(), bedrock_sim::UnknownOperation>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The name of an operation that the simulator does not know.
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

    /// The operation's name as Bedrock writes it.
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

    /// Whether it is answered as a stream.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(
            self,
            Self::ConverseStream | Self::InvokeModelWithResponseStream
        )
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
