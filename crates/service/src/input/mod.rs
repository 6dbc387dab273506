//! The operations: what goes in, what comes out.

mod converse;
mod count_tokens;
mod envelope;
mod invoke_model;
mod sent;

use std::{error::Error as StdError, fmt};

use aws_sdk_bedrockruntime::Client;
use tokio::time::{Duration, Instant};
use tower_bedrock_core::{
    Cacheable, Context, Demand, Fault, FaultKind, InvalidModelId, Invocation, ModelId, Region,
    Rejection, Target,
};

pub use self::sent::Sent;
use crate::Error;

/// An input of the SDK's that [`BedrockService`](crate::BedrockService) takes.
///
/// ```
/// use aws_sdk_bedrockruntime::{
///     operation::converse::ConverseInput,
///     types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
/// };
/// use tower_bedrock_core::HasDemand;
/// use tower_bedrock_service::BedrockInput;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let input = ConverseInput::builder()
///     .model_id("us.anthropic.claude-sonnet-4-20250514-v1:0")
///     .messages(
///         Message::builder()
///             .role(ConversationRole::User)
///             .content(ContentBlock::Text("Say hello.".to_owned()))
///             .build()?,
///     )
///     .inference_config(InferenceConfiguration::builder().max_tokens(100).build())
///     .build()?;
///
/// let invocation = input.into_invocation(&"us-east-1".parse()?)?;
/// assert_eq!(invocation.demand().input_tokens(), 3);
/// assert_eq!(invocation.demand().max_output_tokens(), Some(100));
/// # Ok(())
/// # }
/// ```
///
/// Implemented for the five inputs listed at [`BedrockService`](crate::BedrockService), and sealed.
pub trait BedrockInput: sealed::Operation {
    /// The model that the input names.
    fn model_id(&self) -> Option<&str>;

    /// What the call may cost: sizes by class of content, the first estimate of the input tokens that
    /// follows from them, and the bound on the output. Reads the whole input, so ask once.
    fn demand(&self) -> Demand;

    /// About how much memory an answer takes, in bytes, for whoever keeps it; [`usize::MAX`] where it has parts whose
    /// size is not known (a guardrail's trace, what a later SDK knows), so that it is too large for every cache.
    fn kept_bytes(kept: &<Self::Response as Cacheable>::Kept) -> usize {
        Self::bytes(kept)
    }

    /// The input in its envelope: sent to `region`, to the model it names, at the demand measured from it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] where the input names no model, or one that cannot be.
    fn into_invocation(self, region: &Region) -> Result<Invocation<Self>, InvalidInput> {
        let target = Target::new(region.clone(), model(&self)?);
        Ok(envelope(self, target))
    }
}

pub(crate) fn model(input: &impl BedrockInput) -> Result<ModelId, InvalidInput> {
    Ok(input.model_id().ok_or(InvalidInput::NO_MODEL)?.parse()?)
}

pub(crate) fn envelope<I: BedrockInput>(input: I, target: Target) -> Invocation<I> {
    let demand = input.demand();
    Invocation::new(target, input)
        .with_demand(demand)
        .with_context(Context::new().with_streaming(I::STREAMS))
}

/// An input that names no place to send it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidInput(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    NoModel,
    NoRegion,
    Model(InvalidModelId),
}

impl InvalidInput {
    const NO_MODEL: Self = Self(Reason::NoModel);
    pub(crate) const NO_REGION: Self = Self(Reason::NoRegion);
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::NoModel => f.write_str("the input names no model: set its `model_id`"),
            Reason::NoRegion => f.write_str(
                "no Region to call: the service's configuration has none (AWS_REGION, or the profile's \
                 `region`), and the model id is no ARN that names one",
            ),
            Reason::Model(error) => error.fmt(f),
        }
    }
}

impl StdError for InvalidInput {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        static VALIDATION: Fault = Fault::new(FaultKind::Validation);
        Some(&VALIDATION)
    }
}

/// So that `?` makes it an [`Error`] of the service.
impl Rejection for InvalidInput {}

impl From<InvalidModelId> for InvalidInput {
    fn from(error: InvalidModelId) -> Self {
        Self(Reason::Model(error))
    }
}

/// How one call is to be made.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    pub(crate) started: Instant,
    pub(crate) idle_timeout: Duration,
}

pub(crate) mod sealed {
    use std::fmt;

    use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
    use tower_bedrock_core::{Cacheable, Demand, Target};

    use super::{CallOptions, Client, Error};

    pub trait Operation: fmt::Debug + Send + Sync + Sized + 'static {
        /// What the service answers with.
        type Response: Cacheable + Send + 'static;

        /// The operation as the SDK has it.
        type Sdk: RuntimePlugin + Default;

        const OPERATION: tower_bedrock_core::Operation;

        /// Whether the answer is a stream.
        const STREAMS: bool = Self::OPERATION.is_streaming();

        /// About how much memory an answer takes that is kept.
        fn bytes(kept: &<Self::Response as Cacheable>::Kept) -> usize;

        /// Makes the input say what its envelope says.
        fn write_envelope(&mut self, target: &Target, demand: &Demand);

        fn send(
            self,
            client: Client,
            options: CallOptions,
        ) -> impl Future<Output = Result<Self::Response, Error>> + Send;
    }
}
