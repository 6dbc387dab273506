use std::borrow::Cow;

use tokio::time::Duration;
use tower_bedrock_core::TokenUsage;

use crate::ServiceError;

/// How an admitted call is to be answered. Times are simulated, counted from the call's admission.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Tokens in and out, as Bedrock would report them for the whole answer.
    pub usage: TokenUsage,
    /// Why the model stops.
    pub stop_reason: StopReason,
    /// When the first delta is due, and the first byte of a unary answer's generation.
    pub time_to_first_token: Duration,
    /// What goes wrong on the way, and where.
    pub disruption: Option<(At, Disruption)>,
    pub(crate) per_delta: u64,
}

/// Why the model stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It has said everything.
    EndTurn,
    /// It has used up `max_tokens`.
    MaxTokens,
}

/// Where a disruption strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Before anything is answered: no status, no header.
    Answer,
    /// In place of a stream's first event, after its HTTP 200.
    FirstEvent,
    /// In a stream, after so many deltas; after the last one where there are fewer.
    AfterDeltas(u64),
}

/// What goes wrong with an answer that was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// An exception frame.
    Exception(ServiceError),
    /// The connection is cut.
    Reset,
    /// Nothing comes any more, and the connection stays open.
    Hang,
    /// A frame with a bad checksum.
    Corrupt,
}

/// A piece of generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// When it is due, counted from the call's admission.
    pub due: Duration,
    /// How many tokens it is.
    pub tokens: u64,
    pub(crate) first: u64,
}

impl Plan {
    /// When the whole answer is due.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.time_to_first_token
    }

    /// The number of deltas.
    #[must_use]
    pub fn delta_count(&self) -> u64 {
        self.usage.output.div_ceil(self.per_delta.max(1))
    }

    /// The delta of the given index (from 0), or `None` past the last.
    #[must_use]
    pub fn delta(&self, index: u64) -> Option<Delta> {
        let first = index.checked_mul(self.per_delta)?;
        (first < self.usage.output).then(|| Delta {
            due: self.time_to_first_token,
            tokens: self.per_delta.min(self.usage.output - first),
            first,
        })
    }

    /// All deltas in order.
    pub fn deltas(&self) -> impl Iterator<Item = Delta> + '_ {
        (0..self.delta_count()).filter_map(|index| self.delta(index))
    }

    /// The whole answer's text.
    #[must_use]
    pub fn text(&self) -> String {
        crate::text::text(0, self.usage.output)
    }
}

impl Delta {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> Cow<'static, str> {
        crate::text::text(self.first, self.tokens).into()
    }
}

impl StopReason {
    /// As Converse and Anthropic's own body write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
        }
    }
}
