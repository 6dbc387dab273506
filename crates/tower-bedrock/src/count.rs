//! Exact counts of large prompts.

use std::{fmt, future::Future, pin::Pin};

use aws_sdk_bedrockruntime::{
    operation::{
        converse::ConverseInput, converse_stream::ConverseStreamInput,
        count_tokens::CountTokensInput as Question, invoke_model::InvokeModelInput,
        invoke_model_with_response_stream::InvokeModelWithResponseStreamInput,
    },
    primitives::Blob,
    types::{ConverseTokensRequest, CountTokensInput, InvokeModelTokensRequest},
};
use tokio::time::{Duration, timeout};
use tower_bedrock_core::{HasTarget, Invocation, Route, Target};
use tower_bedrock_quota::CountTokens;
use tower_bedrock_service::BedrockService;
use tower_service::Service;

/// Has Bedrock's [CountTokens](https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html) count large
/// prompts before they are admitted; all others go on with the estimate.
///
/// ```no_run
/// use tower::Layer;
/// use tower_bedrock::{BedrockService, StandardStack, count::CountLarge, quota::{Limiter, QuotaLayer}};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let leaf = BedrockService::new(&aws_config::load_from_env().await)?;
/// let quota = QuotaLayer::new(Limiter::builder().build()?)
///     .with_count(CountLarge::new(leaf.clone()).over(20_000));
/// let bedrock = StandardStack::new()?.with_quota(quota).layer(leaf);
/// # let _ = bedrock;
/// # Ok(())
/// # }
/// ```
///
/// Counting is free, in money and in quota, and takes a round trip: as long as [`within`](Self::within) at the most. A model
/// that is called through a cross-Region profile is counted under its own id, which is what CountTokens takes. Where it
/// fails the estimate stands: leave it out for models that Bedrock does not count, or each large call makes that round
/// trip for nothing. Calls that are small, or that a count would say nothing
/// of, don't wait and don't allocate.
///
/// # Clone
///
/// Clones share the service's client.
#[derive(Clone)]
pub struct CountLarge {
    service: BedrockService,
    over: u64,
    within: Duration,
}

impl CountLarge {
    /// Counts through this leaf, in the Region and with the model that each call names.
    #[must_use]
    pub const fn new(service: BedrockService) -> Self {
        Self {
            service,
            over: 50_000,
            within: Duration::from_secs(2),
        }
    }

    /// Prompts are counted that are estimated at more tokens than this. Default 50,000: below, an estimate is off by
    /// less than a call's output usually is.
    #[must_use]
    pub const fn over(mut self, tokens: u64) -> Self {
        self.over = tokens;
        self
    }

    /// How long a count may take before the estimate will have to do. Default 2 seconds.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

/// An input of the SDK's that CountTokens can count.
pub trait Countable: sealed::Sealed {
    /// What is to be counted; `None` where there is nothing.
    #[doc(hidden)]
    fn to_be_counted(&self) -> Option<CountTokensInput>;
}

mod sealed {
    use super::{
        ConverseInput, ConverseStreamInput, InvokeModelInput, InvokeModelWithResponseStreamInput,
    };

    pub trait Sealed {}

    impl Sealed for ConverseInput {}
    impl Sealed for ConverseStreamInput {}
    impl Sealed for InvokeModelInput {}
    impl Sealed for InvokeModelWithResponseStreamInput {}
}

/// Counts the tokens of one request.
type Counting = Pin<Box<dyn Future<Output = Option<u64>> + Send>>;

impl<I: Countable> CountTokens<Invocation<I>> for CountLarge {
    type Future = Counting;

    fn count(&self, call: &Invocation<I>, estimate: u64) -> Option<Counting> {
        if estimate <= self.over {
            return None;
        }
        let question = call.input().to_be_counted()?;
        let question = Question::builder().input(question).build().ok()?;
        let target = call.target();
        let model = match target.model().route() {
            // CountTokens knows models, not the profiles that they are called through.
            Route::Geographic(_) | Route::Global => target.model().base().parse().ok()?,
            _ => target.model().clone(),
        };
        let target = Target::new(target.region().clone(), model);
        let mut service = self.service.clone();
        // A leaf is always ready.
        let asked = service.call(Invocation::new(target, question));
        let within = self.within;
        Some(Box::pin(async move {
            let answer = timeout(within, asked).await.ok()?.ok()?;
            answer.into_output().input_tokens().try_into().ok()
        }))
    }
}

macro_rules! conversation {
    ($input:ty) => {
        impl Countable for $input {
            fn to_be_counted(&self) -> Option<CountTokensInput> {
                let request = ConverseTokensRequest::builder()
                    .set_messages(self.messages.clone())
                    .set_system(self.system.clone())
                    .set_tool_config(self.tool_config.clone())
                    .set_additional_model_request_fields(
                        self.additional_model_request_fields.clone(),
                    );
                Some(CountTokensInput::Converse(request.build()))
            }
        }
    };
}

macro_rules! body {
    ($input:ty) => {
        impl Countable for $input {
            fn to_be_counted(&self) -> Option<CountTokensInput> {
                let body: Blob = self.body.clone()?;
                let request = InvokeModelTokensRequest::builder().body(body).build();
                request.ok().map(CountTokensInput::InvokeModel)
            }
        }
    };
}

conversation!(ConverseInput);
conversation!(ConverseStreamInput);
body!(InvokeModelInput);
body!(InvokeModelWithResponseStreamInput);

/// Shows the settings.
impl fmt::Debug for CountLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountLarge")
            .field("over", &self.over)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
