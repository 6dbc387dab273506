//! The resilience stack for Amazon Bedrock: retry, token-aware quota, circuit breaking and fallback as Tower
//! layers, around the AWS SDK or around any Tower-based Bedrock caller.
//!
#![cfg_attr(all(feature = "service", feature = "stack"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "service", feature = "stack")), doc = "```ignore")]
//! use aws_sdk_bedrockruntime::{
//!     operation::converse::ConverseInput,
//!     types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
//! };
//! use tower::{Layer, ServiceExt};
//! use tower_bedrock::{BedrockService, FaultKind, HasFault, StandardStack};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // Credentials, Region and endpoint as every AWS program finds them.
//! let leaf = BedrockService::new(&aws_config::load_from_env().await)?;
//! let bedrock = StandardStack::new()?.layer(leaf.clone());
//!
//! let input = ConverseInput::builder()
//!     .model_id("us.anthropic.claude-sonnet-4-20250514-v1:0")
//!     .messages(
//!         Message::builder()
//!             .role(ConversationRole::User)
//!             .content(ContentBlock::Text("Say hello.".to_owned()))
//!             .build()?,
//!     )
//!     // Bedrock counts an unset bound as the model's own maximum, against your quota.
//!     .inference_config(InferenceConfiguration::builder().max_tokens(100).build())
//!     .build()?;
//!
//! match bedrock.clone().oneshot(leaf.invocation(input)?).await {
//!     Ok(answer) => println!("{:?} tokens", answer.usage()),
//!     Err(error) if error.fault().kind() == FaultKind::QuotaExhausted => println!("later"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A call travels as an [`Invocation`]: its input in an envelope that says where it goes ([`Target`]), what it
//! may cost ([`Demand`]) and under which circumstances ([`Context`]). Layers read and change the envelope, so
//! one stack serves every operation. What went wrong is a [`Fault`], whatever the error's own type.
//!
//! # Which layers?
//!
//! | layer | crate feature | take it when |
//! |---|---|---|
//! | `retry` | `retry` | always: Bedrock throttles, and single 503s are common |
//! | `quota` | `quota` | calls share a quota that they can use up: they wait their turn instead of earning 429s |
//! | `quota` with a fleet | `redis` | several processes share that quota: they share it through Redis |
//! | `breaker` | `breaker` | an outage should fail fast, or there is something to fall back to |
//! | `fallback` | `fallback` | another model, Region or tier would do, or a canned answer is better than none |
//! | `cache` | `cache` | a kept answer is better than none, or the same is asked again and again |
//! | `cloudwatch` | `cloudwatch` | somebody is on call; with what policies report as `metrics` |
//! | [`timeout`] | always there | always: a model can hang |
//!
//! Work that may wait is for `queue` (feature `queue`): a worker around the stack that takes it up when there is
//! headroom.
//!
//! `StandardStack` (feature `stack`, on by default) has all of them, in the order that its documentation
//! explains; the module `config` (feature `config`) builds it from a file.
//!
//! # Wrap your own client
//!
//! Layers ask for core's traits and for nothing of AWS's: any `tower::Service` will do whose request is an
//! [`Invocation`] of your own input (or answers [`HasTarget`] and [`HasDemand`] itself), whose response is an
//! [`Answer`] (or answers [`HasCompletion`]), and whose error is `tower::BoxError` with a [`Fault`] among its
//! sources (or answers [`HasFault`] and takes every [`Rejection`]).
//!
//! # Test your own policy
//!
//! With `tower-test`, in paused time; a boxed [`Fault`] is all an error needs to be:
//!
//! ```
//! use tower::{Layer, Service, ServiceExt};
//! use tower_bedrock::{Answer, Fault, FaultKind, Invocation, Target, timeout::TimeoutLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let (mock, mut bedrock) = tower_test::mock::pair::<Invocation<&str>, Answer<&str>>();
//! let mut service = TimeoutLayer::ATTEMPT.layer(mock);
//!
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! let call = service.ready().await?.call(Invocation::new(target, "Say hello."));
//! let (_, respond) = bedrock.next_request().await.unwrap();
//! respond.send_error(Fault::new(FaultKind::Unavailable));
//! assert!(call.await.is_err());
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "cloudwatch")]
pub mod metrics;
#[cfg(feature = "service-quotas")]
pub mod service_quotas;
#[cfg(feature = "stack")]
mod stack;
pub mod timeout;

pub use tower_bedrock_core::*;

#[cfg(feature = "stack")]
pub use self::stack::StandardStack;

#[doc(inline)]
#[cfg(feature = "breaker")]
pub use tower_bedrock_breaker as breaker;
#[doc(inline)]
#[cfg(feature = "cache")]
pub use tower_bedrock_cache as cache;
#[doc(inline)]
#[cfg(feature = "cloudwatch")]
pub use tower_bedrock_cloudwatch as cloudwatch;
#[doc(inline)]
#[cfg(feature = "fallback")]
pub use tower_bedrock_fallback as fallback;
#[doc(inline)]
#[cfg(feature = "queue")]
pub use tower_bedrock_queue as queue;
#[doc(inline)]
#[cfg(feature = "quota")]
pub use tower_bedrock_quota as quota;
#[doc(inline)]
#[cfg(feature = "retry")]
pub use tower_bedrock_retry as retry;
#[cfg(feature = "service")]
pub use tower_bedrock_service::{
    self as service, BedrockInput, BedrockService, ConverseEvents, Error, EventStream,
    InvokeModelChunks,
};
