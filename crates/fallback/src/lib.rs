//! Model, Region and service-tier fallback for Amazon Bedrock calls: a call that one target cannot serve
//! falls to the next of a chain, observably and never silently.
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind, HasCompletion, HasTarget, Invocation, Target};
//! use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let chain = Chain::new("us.anthropic.claude-sonnet-4-20250514-v1:0".parse()?)
//!     .or(Alternative::model("us.amazon.nova-pro-v1:0".parse()?));
//!
//! let mut bedrock = ServiceBuilder::new()
//!     .layer(FallbackLayer::new([chain])?)
//!     // Claude is overloaded today.
//!     .service_fn(|call: Invocation<&'static str>| async move {
//!         if call.target().model().base().starts_with("anthropic.") {
//!             return Err(BoxError::from(Fault::new(FaultKind::ModelOverloaded)));
//!         }
//!         Ok(Answer::new("Hello."))
//!     });
//!
//! let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
//! let answer = bedrock.ready().await?.call(Invocation::new(target, "Say hello.")).await?;
//!
//! let history = answer.history().unwrap();
//! assert_eq!(history.served_by.as_ref().unwrap().model().as_str(), "us.amazon.nova-pro-v1:0");
//! assert_eq!(history.failed_hops[0].fault.kind(), FaultKind::ModelOverloaded);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - A [`Chain`] names, for one requested model, the [`Alternative`]s in their order: another model, Region,
//!   inference profile or service tier. It can be confined to a geography ([`Chain::within`]), and is checked
//!   when the layer is built.
//! - [`falls_through`] is the default for which faults lead to the next hop. The caller's mistakes never do; what an
//!   alternative does not take is none, and is passed over.
//! - **Falls before failing**: with [`FallbackLayer::skip_without_headroom`], a hop whose quota or breaker
//!   already knows that it cannot serve in time is left out.
//! - [`Chain::hop_timeout`] cancels a hop that has not answered (a stream: not begun).
//! - [`FallbackLayer::or_degraded`] asks any Tower service for a cached or canned answer at the end.
//! - One deadline holds across all hops: none starts after it, nor waits beyond it for the inner service to be
//!   ready. It is read from the request's context. A hop that is under way is left to the timeout further in.
//! - No target is asked twice: an alternative that leads where an earlier hop did, seen from where the caller
//!   started, is left out.
//!
//! # What it tells
//!
//! Answers and errors carry a [`History`](tower_bedrock_core::History): the target that served the call,
//! every hop that did not with its fault, the attempts made, and whether the answer is a degraded one. A
//! `tracing` event is emitted for each hop that is left.
//!
//! # Errors
//!
//! The error of the hop that was asked last, with every hop's fault in its history. [`Unserved`] where that
//! hop left none: it was cancelled for being slow, or was never asked. The inner service's own error where it
//! fails instead of becoming ready: no other hop can be asked then, only the responder. (Before a call, nobody
//! can: Tower's `poll_ready` knows no request to answer.)
//!
//! # Where it stands in a stack
//!
//! Outside of retry, breaker and quota: each hop is to have its own retries and its own state. For a stream,
//! a fault before the first content is an error of the call and falls like any other; after it, no hop can
//! take over, because the caller has begun to read.

mod alternative;
mod chain;
mod future;
mod hops;
mod itinerary;
mod journey;
mod layer;
mod predicate;
mod responder;
mod rewrite;
mod service;
mod unserved;

pub use self::{
    alternative::Alternative,
    chain::{Chain, InvalidChain},
    future::ResponseFuture,
    layer::FallbackLayer,
    predicate::falls_through,
    responder::{Degraded, DegradedFuture, Responder},
    rewrite::Rewrite,
    service::Fallback,
    unserved::Unserved,
};
