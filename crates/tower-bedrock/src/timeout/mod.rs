//! Time limits: one on each attempt, one on the whole request.
//!
//! ```
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_bedrock::timeout::TimeoutLayer;
//! use tower_bedrock::{Answer, BoxError, FaultKind, HasFault, Invocation, Target};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let mut bedrock = ServiceBuilder::new()
//!     .layer(TimeoutLayer::request(Duration::from_secs(300))?)
//!     // retry, breaker, quota, ...
//!     .layer(TimeoutLayer::attempt(Duration::from_secs(120))?)
//!     .service_fn(|_: Invocation<&'static str>| std::future::pending::<Result<Answer<()>, BoxError>>());
//!
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! let call = bedrock.ready().await?.call(Invocation::new(target, "Say hello."));
//! assert_eq!(call.await.unwrap_err().fault().kind(), FaultKind::Timeout);
//! # Ok(())
//! # }
//! ```
//!
//! - [`TimeoutLayer::attempt`] stands around the leaf and gives one call to Bedrock so long to answer (a
//!   stream: to send its first content, which [`with_first_event`](TimeoutLayer::with_first_event) expects
//!   sooner). It fails with [`FaultKind::Timeout`], which retry and fallback act upon.
//! - [`TimeoutLayer::request`] stands outermost. It brings the request's own deadline forward to its limit,
//!   so that every policy inside plans by one deadline, and fails with [`FaultKind::DeadlineExceeded`] when
//!   that has come and still nothing has answered.
//!
//! Neither ends a stream that has begun.
//!
//! # Cancel safety
//!
//! When the time is up, and when the response future is dropped, the call inside is dropped.
//!
//! [`FaultKind::Timeout`]: tower_bedrock_core::FaultKind::Timeout
//! [`FaultKind::DeadlineExceeded`]: tower_bedrock_core::FaultKind::DeadlineExceeded

mod future;
mod layer;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{InvalidTimeout, TimeoutLayer},
    service::{TimedOut, Timeout},
};
