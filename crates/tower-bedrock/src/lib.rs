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
//! use tower_bedrock::{BedrockService, StandardStack, fallback::{Alternative, Chain}};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let input = ConverseInput::builder()
//!         .model_id("us.anthropic.claude-sonnet-4-20250514-v1:0")
//!         .messages(
//!             Message::builder()
//!                 .role(ConversationRole::User)
//!                 .content(ContentBlock::Text("Say hello.".to_owned()))
//!                 .build()?,
//!         )
//!         // Bedrock counts an unset bound as the model's own maximum, against your quota.
//!         .inference_config(InferenceConfiguration::builder().max_tokens(100).build())
//!         .build()?;
//!
//!     // Credentials, Region and endpoint as every AWS program finds them.
//!     let leaf = BedrockService::new(&aws_config::load_from_env().await)?;
//!     let chain = Chain::new("us.anthropic.claude-sonnet-4-20250514-v1:0".parse()?)
//!         .or(Alternative::model("us.amazon.nova-pro-v1:0".parse()?));
//!     let bedrock = StandardStack::new()?.with_chains([chain])?.layer(leaf.clone());
//!     let answer = bedrock.oneshot(leaf.invocation(input)?).await?;
//!     println!("{:?} tokens", answer.usage());
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate that takes `aws-sdk-bedrockruntime`, `aws-config` with its feature `behavior-version-latest`, `tower`
//! with `util`, and `tokio` with `macros` and `rt-multi-thread`.
//!
//! A call travels as an [`Invocation`]: its input in an envelope that says where it goes ([`Target`]), what it
//! may cost ([`Demand`]) and under which circumstances ([`Context`]). Layers read and change the envelope, so
//! one stack serves every operation. What went wrong is a [`Fault`], whatever the error's own type:
//! `error.fault().kind()` tells a quota that is used up ([`FaultKind::QuotaExhausted`]) from an outage
//! ([`FaultKind::Unavailable`]), and [`Fault::retry_after`] when to come back.
//!
//! # Which layers?
//!
//! | layer | crate feature | take it when |
//! |---|---|---|
//! | `retry` | `retry` | always: Bedrock throttles, and single 503s are common |
//! | `quota` | `quota` | calls share a quota that they can use up: they wait their turn instead of earning 429s |
//! | `quota` with a fleet | `redis` | several processes share that quota: they share it through Redis (over TLS: `redis-tls`) |
//! | `breaker` | `breaker` | an outage should fail fast, or there is something to fall back to |
//! | `fallback` | `fallback` | another model, Region or tier would do, or a canned answer is better than none |
//! | `cache` | `cache` | a kept answer is better than none, or the same is asked again and again; for the AWS SDK's inputs set up by the module `caching` |
//! | `cloudwatch` | `cloudwatch` | somebody is on call: metrics of calls and of attempts, and with the module `metrics` what policies do |
//! | [`timeout`] | always there | always: a model can hang |
//!
//! Work that may wait is for `queue` (feature `queue`, with `queue-embedded` or `queue-sqs`): a worker around the stack that
//! takes it up when there is headroom. What is measured goes to CloudWatch with feature `cloudwatch-aws`, and to
//! anything else that the `metrics` facade reaches.
//!
//! `StandardStack` (feature `stack`, on by default) has retry, quota, breaker, fallback, time limits, metrics and
//! spans, in the order that its documentation explains, and every layer can be replaced or left out; the module
//! `config` (feature `config`) builds it from a file. A cache goes into it by `with_cache`, or is what its fallback asks last.
//!
//! # Tune
//!
//! As it comes the stack suits a service whose callers wait for a minute at most. What to change when:
//!
//! | what you see | what to set |
//! |---|---|
//! | 429s, and Service Quotas has the numbers | tell the quota its limits: `LimitTable`, `[[quota]]`, or the module `service_quotas`. One that it has to learn costs some 429s now and then |
//! | calls wait for most of their deadline, and then time out | `max_wait` of the limiter, far below the deadline: whoever cannot be served soon is told at once, with the time to come back |
//! | a quota that looks used up while CloudWatch says otherwise | `max_tokens` of requests: Bedrock reserves it whole. `right_size` of the limiter sets it where callers do not |
//! | people wait behind bulk work | [`Priority`] in the [`Context`], a tenant's weight, or the queue's worker for the bulk |
//! | a model that fails now and then opens its breaker | at hundreds of calls a second five failures in a row come by chance: `consecutive_failures(0)`, and go by the `failure_rate` |
//! | calls are turned away long after a flood of 429s | tell the quota its limits: what it has to learn, it has to climb back to. And a breaker of your own around it should [leave throttles to it](breaker::FaultClass::ignoring_throttles), as the stack's does |
//! | the breaker stays open for long after an outage | `open_for`: shorter is sooner, at the price of a call into the outage each time |
//! | calls hang | the time limit of an attempt: somewhat above the slowest answer you would still use; for streams, until their first content |
//! | retries add load to what is overloaded | `budget` of the retry layer: retries for each call that succeeds, 0.2 as it comes |
//! | answers come late from a model that is busy | a chain with another model, Region or tier: the stack asks its quota and breaker first, and falls before it waits |
//!
//! What each of these buys is measured in the repository's `docs/experiments`.
//!
//! # Wrap your own client
//!
//! Layers ask for core's traits and for nothing of AWS's: any `tower::Service` will do whose request is an
//! [`Invocation`] of your own input (or answers [`HasTarget`] and [`HasDemand`] itself), whose response is an
//! [`Answer`] (or answers [`HasCompletion`]), and whose error is `tower::BoxError` with a [`Fault`] among its
//! sources (or answers [`HasFault`] and takes every [`Rejection`]). Request and service have to be `Clone`, both:
//! retry and fallback call again with the same request.
//!
#![cfg_attr(feature = "stack", doc = "```")]
#![cfg_attr(not(feature = "stack"), doc = "```ignore")]
//! use tower::{BoxError, Layer, ServiceExt, service_fn};
//! use tower_bedrock::{Answer, Demand, Invocation, StandardStack, Target, TokenUsage};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! // Whatever calls Bedrock for you; its failures as a `Fault` in a box.
//! let client = service_fn(|call: Invocation<&'static str>| async move {
//!     let usage = TokenUsage { input: 3, output: 5, ..TokenUsage::default() };
//!     Ok::<_, BoxError>(Answer::new(call.input().to_uppercase()).with_usage(usage))
//! });
//! let bedrock = StandardStack::new()?.layer(client);
//!
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! let demand = Demand::new(3).with_max_output_tokens(100);
//! let call = Invocation::new(target, "Say hello.").with_demand(demand);
//! assert_eq!(bedrock.oneshot(call).await?.into_output(), "SAY HELLO.");
//! # Ok(())
//! # }
//! ```
//!
//! # Test your own policy
//!
//! With `tower-test`, in paused time; a boxed [`Fault`] is all an error needs to be:
//!
//! ```
//! use tower::{Layer, Service, ServiceExt, layer::layer_fn, util::MapRequest};
//! use tower_bedrock::{Answer, Fault, FaultKind, HasFault, HasTarget, Invocation, Target};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // The policy: whatever is asked of it, it asks another Region.
//! let oregon = Target::parse("us-west-2", "amazon.nova-lite-v1:0")?;
//! let policy = layer_fn(|inner| {
//!     let oregon = oregon.clone();
//!     MapRequest::new(inner, move |mut call: Invocation<&'static str>| {
//!         call.set_target(oregon.clone());
//!         call
//!     })
//! });
//!
//! let (mock, mut bedrock) = tower_test::mock::pair::<Invocation<&str>, Answer<&str>>();
//! let mut service = policy.layer(mock);
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! let call = service.ready().await?.call(Invocation::new(target, "Say hello."));
//! let (request, respond) = bedrock.next_request().await.unwrap();
//! assert_eq!(request.target(), &oregon);
//! respond.send_error(Fault::new(FaultKind::Unavailable));
//! assert_eq!(call.await.unwrap_err().fault().kind(), FaultKind::Unavailable);
//! # Ok(())
//! # }
//! ```

#[cfg(all(feature = "cache", feature = "service"))]
pub mod caching;
#[cfg(feature = "config")]
pub mod config;
#[cfg(all(feature = "quota", feature = "service"))]
pub mod count;
#[cfg(feature = "cloudwatch")]
pub mod metrics;
#[cfg(feature = "service-quotas")]
pub mod service_quotas;
#[cfg(feature = "stack")]
mod stack;
pub mod timeout;

pub use tower_bedrock_core::*;

#[cfg(feature = "stack")]
pub use self::stack::{Edge, StandardStack};

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
    InvokeModelChunks, KeptEvents,
};
