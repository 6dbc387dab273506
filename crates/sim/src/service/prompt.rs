use std::borrow::Cow;

use tower_bedrock_core::{Demand, Invocation, Target};

use crate::{Input, StopReason, text};

/// What is asked of the simulator in process: sizes in place of text.
///
/// ```
/// use bedrock_sim::{ContentClass, Input, Prompt};
///
/// // 2,000 bytes of code. The client sees the bytes and estimates; the simulator knows the tokens.
/// let prompt = Prompt::new(Input::of_bytes(ContentClass::Code, 2_000));
/// assert_eq!(prompt.demand().input_tokens(), 500);
/// assert_eq!(prompt.input().tokens(1.0), 662);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    pub(super) input: Input,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cache_read_tokens: u64,
    pub(super) cache_write_tokens: u64,
}

/// A prompt that is to be answered delta by delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamPrompt(
    /// The prompt.
    pub Prompt,
);

/// What the simulated model said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(super) tokens: u64,
    pub(super) stop_reason: StopReason,
}

impl Prompt {
    /// A prompt, answered at the length that the model is set to.
    #[must_use]
    pub const fn new(input: Input) -> Self {
        Self {
            input,
            max_output_tokens: None,
            output_tokens: None,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
        }
    }

    /// Bounds the output (`max_tokens`), where the envelope's demand does not.
    #[must_use]
    pub const fn with_max_output_tokens(mut self, tokens: u64) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// Sets how many tokens the model would say, if it were not bounded.
    #[must_use]
    pub const fn with_output_tokens(mut self, tokens: u64) -> Self {
        self.output_tokens = Some(tokens);
        self
    }

    /// Sets the tokens read from and written to the prompt cache, which come on top of the input.
    #[must_use]
    pub const fn with_cache(mut self, read: u64, write: u64) -> Self {
        self.cache_read_tokens = read;
        self.cache_write_tokens = write;
        self
    }

    /// What goes in.
    #[must_use]
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// What a client makes of it before it has learnt anything: an estimate by size, and exact for tokens
    /// that were given as such.
    #[must_use]
    pub fn demand(&self) -> Demand {
        let content = self.input.content();
        let tokens = content
            .estimated_tokens()
            .saturating_add(self.input.exact_tokens())
            .saturating_add(self.cache_read_tokens)
            .saturating_add(self.cache_write_tokens);
        let demand = Demand::new(tokens).with_content(content);
        match self.max_output_tokens {
            Some(tokens) => demand.with_max_output_tokens(tokens),
            None => demand,
        }
    }

    /// In its envelope, with what a client makes of it as the demand.
    #[must_use]
    pub fn to(self, target: Target) -> Invocation<Self> {
        let demand = self.demand();
        Invocation::new(target, self).with_demand(demand)
    }

    /// The same, to be answered delta by delta.
    #[must_use]
    pub const fn streamed(self) -> StreamPrompt {
        StreamPrompt(self)
    }
}

impl StreamPrompt {
    /// In its envelope, with what a client makes of it as the demand.
    #[must_use]
    pub fn to(self, target: Target) -> Invocation<Self> {
        self.0.to(target).map(Self)
    }
}

impl Reply {
    /// How many tokens it is.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Why the model stopped.
    #[must_use]
    pub const fn stop_reason(&self) -> StopReason {
        self.stop_reason
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> Cow<'static, str> {
        text::words(0, self.tokens)
    }
}
