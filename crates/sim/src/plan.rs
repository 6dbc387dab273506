use std::borrow::Cow;

use tokio::time::Duration;
use tower_bedrock_core::TokenUsage;

use crate::{ServiceError, text};

/// How an admitted call is to be answered. Times are simulated, counted from the call's admission.
///
/// A face carries it out [step](Self::step) by step; it decides nothing itself.
///
/// ```
/// use bedrock_sim::{Call, Input, Operation, Simulator, Step};
///
/// let simulator = Simulator::default();
/// let call = Call::new(
///     Operation::ConverseStream,
///     "us-east-1".parse()?,
///     "us.amazon.nova-lite-v1:0".parse()?,
///     Input::of_tokens(1_000),
/// )
/// .with_output_tokens(10);
///
/// let admitted = simulator.begin(&call)?;
/// let mut text = String::new();
/// for index in 0.. {
///     match admitted.plan().step(index) {
///         Step::Delta(delta) => text.push_str(&delta.text()), // to be sent at admitted.instant(delta.due)
///         Step::Disruption(_) => return Ok(admitted.fail()),
///         Step::End => break,
///     }
/// }
/// admitted.complete();
/// assert!(text.starts_with("This is a simulated answer"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) usage: TokenUsage,
    pub(crate) stop_reason: StopReason,
    pub(crate) time_to_first_token: Duration,
    pub(crate) tokens_per_second: f64,
    pub(crate) tokens_per_delta: u64,
    pub(crate) disruption: Option<(At, Disruption)>,
}

/// What a face does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Sends a delta.
    Delta(Delta),
    /// Breaks off.
    Disruption(&'a Disruption),
    /// Ends the answer: everything was sent.
    End,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// When it is due, counted from the call's admission.
    pub due: Duration,
    /// How many tokens it is.
    pub tokens: u64,
    first: u64,
}

impl Plan {
    /// Tokens in and out, as Bedrock would report them for the whole answer.
    #[must_use]
    pub const fn usage(&self) -> TokenUsage {
        self.usage
    }

    /// Why the model stops.
    #[must_use]
    pub const fn stop_reason(&self) -> StopReason {
        self.stop_reason
    }

    /// When the first delta is due.
    #[must_use]
    pub const fn time_to_first_token(&self) -> Duration {
        self.time_to_first_token
    }

    /// When the whole answer is due: the time to the first token, and its tokens at the model's speed.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.generated_by(self.usage.output)
    }

    /// What goes wrong on the way, and where.
    #[must_use]
    pub fn disruption(&self) -> Option<(At, &Disruption)> {
        self.disruption.as_ref().map(|(at, what)| (*at, what))
    }

    /// What comes after so many deltas.
    #[must_use]
    pub fn step(&self, deltas_sent: u64) -> Step<'_> {
        match &self.disruption {
            Some((at, what)) if deltas_sent >= self.deltas_before(*at) => Step::Disruption(what),
            _ => self.delta(deltas_sent).map_or(Step::End, Step::Delta),
        }
    }

    /// When what comes after so many deltas is due.
    #[must_use]
    pub fn due(&self, deltas_sent: u64) -> Duration {
        let tokens = deltas_sent.saturating_mul(self.tokens_per_delta);
        self.generated_by(tokens.min(self.usage.output))
    }

    /// The whole answer's text.
    #[must_use]
    pub fn text(&self) -> Cow<'static, str> {
        text::words(0, self.usage.output)
    }

    fn delta(&self, index: u64) -> Option<Delta> {
        let first = index.checked_mul(self.tokens_per_delta)?;
        let tokens = self
            .usage
            .output
            .checked_sub(first)?
            .min(self.tokens_per_delta);
        (tokens > 0).then(|| Delta {
            due: self.due(index),
            tokens,
            first,
        })
    }

    fn delta_count(&self) -> u64 {
        self.usage.output.div_ceil(self.tokens_per_delta)
    }

    fn deltas_before(&self, at: At) -> u64 {
        match at {
            At::Answer | At::FirstEvent => 0,
            At::AfterDeltas(deltas) => deltas.min(self.delta_count()),
        }
    }

    fn generated_by(&self, tokens: u64) -> Duration {
        let seconds = tokens as f64 / self.tokens_per_second;
        let generating = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.time_to_first_token.saturating_add(generating)
    }

    /// The tokens of the deltas that were due within a time, as far as the disruption let them come.
    pub(crate) fn generated_within(&self, elapsed: Duration) -> u64 {
        let Some(generating) = elapsed.checked_sub(self.time_to_first_token) else {
            return 0;
        };
        // A hair of rounding must not lose the delta that was due just now.
        let tokens = generating.as_secs_f64() * self.tokens_per_second + 1e-6;
        let deltas = (tokens as u64 / self.tokens_per_delta).saturating_add(1);
        self.tokens_in(deltas)
    }

    /// The tokens generated when it ends as planned, disruption and all.
    pub(crate) fn generated_in_all(&self) -> u64 {
        self.tokens_in(u64::MAX)
    }

    /// An exception in place of all content says that the model was not asked after all.
    pub(crate) fn is_refused_in_band(&self) -> bool {
        matches!(
            self.disruption,
            Some((
                At::FirstEvent | At::AfterDeltas(0),
                Disruption::Exception(_)
            ))
        )
    }

    fn tokens_in(&self, deltas: u64) -> u64 {
        let deltas = match &self.disruption {
            Some((at, _)) => deltas.min(self.deltas_before(*at)),
            None => deltas,
        };
        deltas
            .saturating_mul(self.tokens_per_delta)
            .min(self.usage.output)
    }
}

impl Delta {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> Cow<'static, str> {
        text::words(self.first, self.tokens)
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
