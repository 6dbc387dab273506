//! `BedrockService`: Amazon Bedrock's runtime as a Tower service, over the AWS SDK for Rust.
//!
//! ```no_run
//! use aws_sdk_bedrockruntime::{
//!     operation::converse_stream::ConverseStreamInput,
//!     types::{ContentBlock, ConversationRole, ConverseStreamOutput, Message},
//! };
//! use tower::ServiceExt;
//! use tower_bedrock_service::BedrockService;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bedrock = BedrockService::new(&aws_config::load_from_env().await)?;
//!
//! let input = ConverseStreamInput::builder()
//!     .model_id("us.amazon.nova-lite-v1:0")
//!     .messages(
//!         Message::builder()
//!             .role(ConversationRole::User)
//!             .content(ContentBlock::Text("Tell me a story.".to_owned()))
//!             .build()?,
//!     )
//!     .build()?;
//! let invocation = bedrock.invocation(input)?;
//!
//! // A throttle or a fault before the first word is an error here, where it can still be retried ...
//! let mut events = bedrock.oneshot(invocation).await?;
//! // ... and one after it is an error there, never a clean end.
//! while let Some(event) = events.recv().await? {
//!     if let ConverseStreamOutput::ContentBlockDelta(event) = event {
//!         if let Some(Ok(text)) = event.delta().map(|delta| delta.as_text()) {
//!             print!("{text}");
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It is the leaf of a stack: the policies of tower-bedrock (retry, quota, circuit breaker, fallback) are
//! layers around it, and its types answer what they ask:
//!
//! - [`BedrockInput`] puts an SDK input into an [`Invocation`](tower_bedrock_core::Invocation) and measures
//!   what it may cost.
//! - [`BedrockService`] sends it where the invocation says, once.
//! - [`Error`] says what went wrong, and keeps bodies to itself.
//! - [`EventStream`] tells when its answer is whole, and what it cost.
//!
//! # Logs
//!
//! This crate logs nothing. The SDK below it logs whole requests and responses at level `TRACE`: keep the
//! targets `aws_smithy_runtime`, `aws_smithy_http` and `hyper` above it where prompts are confidential.

mod builder;
mod call;
mod clients;
mod error;
mod future;
mod http;
mod input;
mod invalid_config;
mod measure;
mod service;
mod stream;
#[cfg(feature = "opentelemetry")]
mod trace;
mod usage;

pub use self::{
    builder::Builder,
    error::Error,
    future::ResponseFuture,
    input::{BedrockInput, InvalidInput, Sent},
    invalid_config::InvalidConfig,
    service::BedrockService,
    stream::{ConverseEvents, EventStream, InvokeModelChunks, KeptEvents, StreamEvent},
};
