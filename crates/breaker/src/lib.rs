//! A circuit breaker for Tower services that call Amazon Bedrock: it stops calling a target that is failing,
//! and finds out with a few probes when to call it again.
//!
//! ```
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//! use tower_bedrock_breaker::{CircuitBreakerLayer, Open};
//! use tower_bedrock_core::{Answer, Fault, FaultKind, Invocation, Target};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let breaker = CircuitBreakerLayer::builder().consecutive_failures(5).build()?;
//! let handle = breaker.handle();
//!
//! // A target that is down.
//! let service = ServiceBuilder::new().layer(breaker).service(service_fn(
//!     |_: Invocation<&str>| async {
//!         Err::<Answer<&str>, BoxError>(Fault::new(FaultKind::Unavailable).into())
//!     },
//! ));
//!
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! for _ in 0..5 {
//!     let call = Invocation::new(target.clone(), "Say hello.");
//!     assert!(!service.clone().oneshot(call).await.unwrap_err().is::<Open>());
//! }
//!
//! // From the sixth on it isn't called.
//! let call = Invocation::new(target.clone(), "Say hello.");
//! let error = service.oneshot(call).await.unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "circuit breaker of us-east-1/amazon.nova-lite-v1:0 is open, next probe in 60s",
//! );
//! // An operator who knows better can close it.
//! handle.close(&target);
//! # Ok(())
//! # }
//! ```
//!
//! # States
//!
//! ```text
//!            failures in a row,              open interval
//!           failure or slow-call rate            is over
//!  ┌────────┐ ───────────────────────► ┌──────┐ ─────────► ┌───────────┐
//!  │ closed │                          │ open │            │ half-open │
//!  └────────┘                          └──────┘ ◄───────── └───────────┘
//!       ▲                                     probes failed     │
//!       │                                     or are lost       │
//!       └───────────────────────────────────────────────────────┘
//!                          probes succeeded
//! ```
//!
//! An operator can also [force](CircuitBreakerHandle::force_open) it open,
//! [disable](CircuitBreakerHandle::disable) it, or let it [only take metrics](CircuitBreakerHandle::metrics_only).
//!
//! # What counts
//!
//! - **By fault**: [`FaultClass::of`] tells failures from throttling, which is soft, and from the caller's
//!   mistakes, which say nothing about the target.
//! - **By target**: each has a breaker of its own; [`KeyFn`] can choose otherwise.
//! - **By generation**: what was admitted before a transition never counts after it. A call from before an
//!   outage that succeeds late closes nothing.
//! - **When it is over**: the verdict on a stream comes when it ends. One that its reader drops says nothing.
//!
//! # Which thresholds
//!
//! Five failures in a row are AWS's rule, and right for a target that is called now and then. With many calls a
//! second a row comes by chance, the sooner because a failure is back before an answer is: at fifty a second, of
//! which a fifth fail each for itself, the defaults leave it open nearly all the time (`cargo xtask experiment
//! failing-dependency`). Whoever calls that often goes by the rate alone:
//! [`without_consecutive_failures`](CircuitBreakerBuilder::without_consecutive_failures), with
//! [`failure_rate_threshold`](CircuitBreakerBuilder::failure_rate_threshold) at what no healthy target reaches.
//!
//! Throttles come in clusters to a client near its quota, and they count for the rate. A breaker around a quota layer,
//! which learns from each of them, leaves them to it: [classify](CircuitBreakerBuilder::classify) with
//! [`FaultClass::ignoring_throttles`], as the standard stack does.
//!
//! # Where it stands in a stack
//!
//! Inside the retry layer, so that every attempt is asked for and counted; outside the quota, so that a call
//! that is turned away costs none; and with the timeout of an attempt inside of it: a call that is *dropped*
//! by a timeout outside says nothing about the target, and a target that hangs would never be found out.
//!
//! # Cost
//!
//! A success in a closed breaker allocates nothing. While a window over calls holds nothing but successes it
//! takes no lock either: one more changes nothing, so a healthy target's breaker is only read.

mod breaker;
mod builder;
mod classify;
mod config;
mod error;
mod future;
mod handle;
mod key;
mod layer;
mod machine;
mod observer;
mod permit;
mod registry;
mod service;
mod state;
mod sync;
mod window;

pub use self::{
    builder::CircuitBreakerBuilder,
    classify::FaultClass,
    config::InvalidConfig,
    error::Open,
    future::ResponseFuture,
    handle::CircuitBreakerHandle,
    key::{KeyFn, PerTarget},
    layer::CircuitBreakerLayer,
    observer::Observer,
    service::CircuitBreaker,
    state::{Cause, Event, EventKind, Probes, Snapshot, State},
    window::SlidingWindow,
};
