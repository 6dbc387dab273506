use tower_bedrock_core::{ModelId, Region, ServiceTier};

use crate::{Input, Operation};

/// A call as it reaches the simulated service.
///
/// ```
/// use bedrock_sim::{Call, Input, Operation};
///
/// let call = Call::new(
///     Operation::Converse,
///     "us-east-1".parse()?,
///     "us.anthropic.claude-sonnet-4-20250514-v1:0".parse()?,
///     Input::of_tokens(1_000),
/// )
/// .with_max_tokens(100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub operation: Operation,
    /// The Region that is called.
    pub region: Region,
    /// The model id as called.
    pub model: ModelId,
    /// What goes in, prompt cache aside.
    pub input: Input,
    /// Input tokens read from the prompt cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the prompt cache.
    pub cache_write_tokens: u64,
    /// `maxTokens`, `max_tokens`, ...; `None` where the request sets none.
    pub max_tokens: Option<u64>,
    /// The service tier asked for. The reserved tier has no quota here.
    pub service_tier: Option<ServiceTier>,
    /// How many tokens the model would say, in place of the model's own setting. Still at most
    /// `max_tokens`.
    pub output_tokens: Option<u64>,
}

impl Call {
    /// A call that sets no `max_tokens`.
    #[must_use]
    pub const fn new(operation: Operation, region: Region, model: ModelId, input: Input) -> Self {
        Self {
            operation,
            region,
            model,
            input,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            max_tokens: None,
            service_tier: None,
            output_tokens: None,
        }
    }

    /// Sets `max_tokens`.
    #[must_use]
    pub const fn with_max_tokens(mut self, max_tokens: u64) -> Self {
        self.max_tokens = Some(max_tokens);
        self
    }

    /// Sets how many tokens the model would say.
    #[must_use]
    pub const fn with_output_tokens(mut self, output_tokens: u64) -> Self {
        self.output_tokens = Some(output_tokens);
        self
    }

    /// Sets the tokens read from and written to the prompt cache, which come on top of the input.
    #[must_use]
    pub const fn with_cache(mut self, read: u64, write: u64) -> Self {
        self.cache_read_tokens = read;
        self.cache_write_tokens = write;
        self
    }
}
