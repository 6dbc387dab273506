//! Answers of Amazon Bedrock, kept: fresh ones served where that is asked for, stale ones only when everything
//! else has failed.
//!
//! ```
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_bedrock_cache::{CacheLayer, Key};
//! use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind, HasCompletion, Invocation, Target};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! static OUTAGE: AtomicBool = AtomicBool::new(false);
//!
//! type Call = Invocation<&'static str>;
//! let cache = CacheLayer::builder(
//!     // What makes two calls the same, tenant and model aside ...
//!     |call: &Call| Some(Key::of(call, "Converse", call.input().as_bytes())),
//!     // ... and how much memory an answer takes.
//!     |answer: &String| answer.len(),
//! )
//! .build()?;
//!
//! let mut bedrock = ServiceBuilder::new().layer(cache).service_fn(|_: Call| async {
//!     if OUTAGE.load(Ordering::Relaxed) {
//!         return Err(BoxError::from(Fault::new(FaultKind::Unavailable)));
//!     }
//!     Ok(Answer::new("Hello.".to_owned()))
//! });
//!
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! let call = Invocation::new(target, "Say hello.");
//! bedrock.ready().await?.call(call.clone()).await?;
//!
//! OUTAGE.store(true, Ordering::Relaxed);
//! let answer = bedrock.ready().await?.call(call).await?;
//! assert_eq!(answer.output(), "Hello.");
//! assert!(answer.history().unwrap().degraded.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # What is kept
//!
//! Whole answers of the model that was asked for: a unary one when it has come, a stream, where its type is
//! [`Cacheable`], when it has ended. No stand-in, that is no degraded answer and none of a fallback's other model.
//! No call whose key function says `None`, which is how a request forbids it.
//!
//! A layer is for one type of response, so an application that makes several kinds of calls has a layer for each. For
//! the AWS SDK's inputs, streams included, the module `caching` of `tower-bedrock` has the key and the size of answers.
//!
//! Two calls are the same when their keys are. A [`Key`] is a SHA-256 digest that begins with the tenant and the
//! model, so that no tenant ever sees another's answer.
//!
//! An answer is cloned when it is kept and when it is given again: outputs that are cheap to clone (an `Arc`,
//! `Bytes`) make that cheap too. What is too old is forgotten when it is next asked for, or pushed out.
//!
//! # What is served
//!
//! | when | what | marked |
//! |---|---|---|
//! | [`fresh_for`](Builder::fresh_for) is set, and an answer is no older | that answer, without asking | its history has no attempts |
//! | the call failed by no mistake of the caller's, and an answer is no older than [`stale_for`](Builder::stale_for) | that answer | [`degraded`](tower_bedrock_core::History::degraded), with its age |
//! | [`share_in_flight`](Builder::share_in_flight) is set, and the same call is under way | what that brings | its history has no attempts |
//!
//! A kept answer uses no tokens when it is served again, so it says nothing of usage.
//!
//! # Where it stands in a stack
//!
//! | place | its price |
//! |---|---|
//! | in the standard stack, around its time limit of a request: `with_cache(cache)` | a kept answer stands in for whatever fails, the time limit too; metrics count it as a degraded answer |
//! | around the whole stack | the same, but metrics and spans inside count the failure, not the answer |
//! | around the fallback, in the fallback's slot: `with_fallback(Stack::new(fallback, cache))` with tower's `Stack` | metrics count it as a degraded answer; none stands in for a request that ran out of time |
//! | the fallback's last hop: `or_degraded(cache.responder())`, with the layer in one of the other places to keep | the same, and the fallback's own predicate decides |
//!
//! # What is told of it
//!
//! An [`Observer`] is told of each call whether it was answered without asking, by another call or not, and of errors
//! that a kept answer stood in for. `CacheMetrics` of `tower-bedrock` is one, for the `metrics` facade; there, metrics of
//! requests around the layer count what stood in.
//!
//! # Errors
//!
//! The inner service's own, where there is nothing to serve. The layer has none.

mod builder;
mod canonical;
mod flights;
mod future;
mod key;
mod layer;
mod observer;
mod responder;
mod service;
mod store;

pub use tower_bedrock_core::Cacheable;

pub use self::{
    builder::{Builder, InvalidSetting},
    future::ResponseFuture,
    key::Key,
    layer::CacheLayer,
    observer::Observer,
    responder::{NotKept, Responder},
    service::Cache,
};
