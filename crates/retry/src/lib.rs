//! The backoff-retry layer of tower-bedrock: what follows a failed call depends on what went wrong.
//!
//! ```
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//! use tokio::time::Instant;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_bedrock_core::{Answer, BoxError, Context, Fault, FaultKind, HasCompletion, Invocation, Target};
//! use tower_bedrock_retry::{Policy, RetryLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! // Any Tower service whose request, response and error answer core's traits. This one is short of
//! // tokens at first.
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let bedrock = service_fn(|call: Invocation<&'static str>| async move {
//!     match CALLS.fetch_add(1, Ordering::Relaxed) {
//!         0 | 1 => Err(BoxError::from(Fault::new(FaultKind::ThrottledTokens))),
//!         _ => Ok(Answer::new(format!("You said: {}", call.input()))),
//!     }
//! });
//!
//! let policy = Policy::builder().max_attempts(4).build()?;
//! let mut service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(bedrock);
//!
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! let context = Context::new().with_deadline(Instant::now() + Duration::from_secs(60));
//! let call = Invocation::new(target, "Hello.").with_context(context);
//!
//! let answer = service.ready().await?.call(call).await?;
//! assert_eq!(answer.output(), "You said: Hello.");
//! assert_eq!(answer.history().map(|history| history.attempts), Some(3));
//! # Ok(())
//! # }
//! ```
//!
//! # What happens after a fault
//!
//! 1. **Is it retried at all?** By the [`Plan`], a table by kind of fault: throttles, 503s, 500s, overload
//!    and broken connections are; the caller's mistakes, tokens a day and what is not recognised are not.
//! 2. **Is an attempt left?** Five in all by default.
//! 3. **When?** The fault's own [`Schedule`] says: at once for the first 503, else after exponential
//!    [`Backoff`] with full jitter; not before a `Retry-After`, nor before the quota's refresh where a
//!    [`QuotaCycle`] knows it.
//! 4. **In time?** Not after the deadline that the request carries (nor after
//!    [`max_elapsed`](PolicyBuilder::max_elapsed)). Then the call gives up at once, while there is time
//!    for a fallback.
//! 5. **Within the [`Budget`]** of the target, which keeps retries from adding to an outage.
//!
//! A call that gives up ends with the error of its last attempt. Its
//! [`History`](tower_bedrock_core::History) says how many attempts were made and [why no
//! more](tower_bedrock_core::GaveUp); that of an answer says how many it took.
//!
//! # Where it stands
//!
//! Inside a fallback, which takes over what it gives up on, and outside the circuit breaker, the quota
//! and the timeout, which hold for each attempt. It owns every retry: turn off those of the client below,
//! or attempts multiply. A stream that fails before its first content is an error of the call, and is
//! retried like any other.
//!
//! # Cost
//!
//! A call that succeeds at once costs a clone of the request and of the inner service, made before it is
//! known that they are not needed, and allocates nothing. The request is not cloned for the last attempt,
//! nor where `max_attempts` is 1.

mod backoff;
mod budget;
mod call;
mod cycle;
mod error;
mod event;
mod future;
mod layer;
mod observer;
mod plan;
mod policy;
mod random;
mod schedule;
mod service;
mod session;

pub use self::{
    backoff::{Backoff, Jitter},
    budget::{Budget, BudgetBuilder},
    cycle::{FixedCycle, QuotaCycle},
    error::InvalidConfig,
    future::ResponseFuture,
    layer::{RetryLayer, RetryLayerBuilder},
    observer::{Failure, Observer},
    plan::Plan,
    policy::{Policy, PolicyBuilder},
    schedule::Schedule,
    service::Retry,
    session::{Decision, Session},
};
