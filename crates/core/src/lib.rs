//! The vocabulary of tower-bedrock: what resilience policies ask of a request, a response and an
//! error, and the types the answers come in. No policy, no I/O, no AWS crate.
//!
//! ```
//! use tower_bedrock_core::{Demand, Fault, FaultKind, HasDemand, HasFault, HasTarget, Invocation, Target};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // A request in its envelope: where it goes, what it may cost, and what is sent.
//! let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
//! let demand = Demand::new(1_000).with_max_output_tokens(100);
//! let call = Invocation::new(target, "Say hello.").with_demand(demand);
//!
//! assert_eq!(call.target().model().base(), "anthropic.claude-sonnet-4-20250514-v1:0");
//! assert_eq!(call.demand().max_output_tokens(), Some(100));
//!
//! // An error, even a boxed one, says what went wrong.
//! let error: Box<dyn std::error::Error + Send + Sync> = Fault::new(FaultKind::ThrottledTokens).into();
//! assert_eq!(error.fault().kind(), FaultKind::ThrottledTokens);
//! # Ok(())
//! # }
//! ```
//!
//! # Four questions, four traits
//!
//! | question | trait, on | answer |
//! |---|---|---|
//! | Where is it going? | [`HasTarget`], the request | [`Target`], which can be changed; and its [`Context`] |
//! | What may it cost? | [`HasDemand`], the request | [`Demand`] |
//! | What went wrong? | [`HasFault`], the error | [`Fault`] |
//! | What did it cost? | [`HasCompletion`], the response | [`Completion`], told exactly once |
//!
//! A policy asks only the ones it needs, so it wraps any Tower service whose types answer them.
//! [`Invocation`] and [`Answer`] answer them for whatever they carry, and a boxed error
//! (`tower::BoxError`) answers [`HasFault`], so a `tower-test` mock needs no wrapping.
//!
//! A fifth trait, [`Headroom`], lets policies ask one another without knowing one another; a sixth, [`Cacheable`], is
//! for responses that can be kept and given again.
//!
//! # Errors stay flat
//!
//! A policy that turns a call away has one small error type of its own, marked as a [`Rejection`], and
//! asks the inner service for `S::Error: From<..>` of it. A boxed error satisfies that as it stands; a
//! concrete error type satisfies it for every policy at once with
//! `impl<R: Rejection> From<R> for MyError`. What happened on the way (attempts made, hops tried) is
//! kept in the [`History`] that responses and errors carry, not in layers of wrapping.

mod answer;
mod burndown;
mod cacheable;
mod classified;
mod classify;
pub mod clock;
mod completion;
mod context;
mod demand;
mod fault;
mod headroom;
mod history;
mod invocation;
mod model_id;
mod operation;
mod region;
mod rejection;
mod route;
mod target;
mod usage;

pub use self::{
    answer::Answer,
    burndown::{Burndown, InvalidBurndown},
    cacheable::Cacheable,
    classified::Classified,
    classify::{ErrorResponse, retry_after},
    completion::{Completion, HasCompletion, Observers, Outcome},
    context::{Context, Priority, Tenant},
    demand::{Content, Demand, HasDemand},
    fault::{BoxError, Fault, FaultKind, HasFault},
    headroom::Headroom,
    history::{Degraded, GaveUp, History, Hop},
    invocation::Invocation,
    model_id::{InvalidModelId, ModelId},
    operation::{Operation, UnknownOperation},
    region::{InvalidRegion, Region},
    rejection::Rejection,
    route::{Geography, InvalidGeography, Route},
    target::{HasTarget, InvalidServiceTier, InvalidTarget, ServiceTier, Target},
    usage::TokenUsage,
};
