//! Resilience for Amazon Bedrock, as Tower layers.
//!
#![cfg_attr(feature = "service", doc = "```no_run")]
#![cfg_attr(not(feature = "service"), doc = "```ignore")]
//! use aws_sdk_bedrockruntime::{
//!     operation::converse::ConverseInput,
//!     types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
//! };
//! use tower::ServiceExt;
//! use tower_bedrock::{BedrockService, FaultKind, HasFault};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Credentials, Region and endpoint as every AWS program finds them.
//! let bedrock = BedrockService::new(&aws_config::load_from_env().await)?;
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
//! match bedrock.clone().oneshot(bedrock.invocation(input)?).await {
//!     Ok(answer) => println!("{:?} tokens", answer.usage()),
//!     Err(error) if error.fault().kind() == FaultKind::ThrottledTokens => println!("later"),
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
//! # Features
//!
//! - `service` (default): `BedrockService`, the leaf over the AWS SDK, and the module `service`.

pub use tower_bedrock_core::*;
#[cfg(feature = "service")]
pub use tower_bedrock_service::{
    self as service, BedrockInput, BedrockService, ConverseEvents, Error, EventStream,
    InvokeModelChunks,
};
