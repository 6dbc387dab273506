//! A local Amazon Bedrock for tests, examples and experiments: one engine, and in front of it two faces,
//! an in-process Tower service that runs in paused time and an HTTP server that speaks Bedrock's wire
//! protocol.
//!
//! ```
//! use bedrock_sim::{Config, FaultName, FaultSpec, Input, Prompt, Simulator};
//! use tower::ServiceExt;
//! use tower_bedrock_core::{FaultKind, HasFault, Target};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::new(Config::from_toml(
//!     r#"
//!     [models."us.acme.large-v1:0"]
//!     tokens_per_minute = 10_000
//!     burndown = 5
//!     "#,
//! )?)?;
//! let bedrock = simulator.service();
//! let target = Target::parse("us-east-1", "us.acme.large-v1:0")?;
//! let prompt = Prompt::new(Input::of_tokens(1_000))
//!     .with_max_output_tokens(2_000)
//!     .with_output_tokens(1_500);
//!
//! // 3,000 tokens are reserved, 1,000 + 1,500 x 5 settled: a quota that seemed to have room for three.
//! bedrock.clone().oneshot(prompt.to(target.clone())).await?;
//! let error = bedrock.clone().oneshot(prompt.to(target.clone())).await.unwrap_err();
//! assert_eq!(error.fault().kind(), FaultKind::ThrottledTokens);
//!
//! // A minute later there is room again, and a scripted fault.
//! tokio::time::advance(std::time::Duration::from_secs(60)).await;
//! simulator.add_fault(FaultSpec::once(FaultName::Unavailable))?;
//! let error = bedrock.oneshot(prompt.to(target)).await.unwrap_err();
//! assert_eq!(error.fault().kind(), FaultKind::Unavailable);
//! # Ok(())
//! # }
//! ```
//!
//! # What a call meets
//!
//! 1. Validation: Region, model id, inference profile, `max_tokens`. A mistake costs nothing.
//! 2. Scripted faults ([`FaultSpec`]): the first that matches strikes.
//! 3. Quotas: requests a minute, tokens a minute, tokens a day of the model, tokens a day of the Region, in
//!    this order. All give or none does. The tokens reserved are the input, prompt cache included, and
//!    `max_tokens`, or the model's own maximum where that is unset.
//! 4. The answer, at the model's pace ([`Plan`]).
//! 5. Settlement, when it ends, fails or is dropped: `input + cacheWrite + output x burndown` tokens, of
//!    what was generated until then. The unused part of the reservation is back at once; what it cost
//!    beyond it is debt. A call that is refused, at once or in its stream before any content, costs nothing.
//!
//! Every decision is the engine's, and is taken in simulated time: see [`Simulator`]. The arithmetic is its
//! own, shared with no client-side limiter, so that one mistake cannot hide in both.
//!
//! Sources: Amazon Bedrock's user guide on quotas and token burndown, and on cross-Region inference, as of
//! November 2026. The shape of a quota's window is not documented, so all three that are plausible are
//! here ([`WindowShape`]). A day is a cycle of 24 hours from the simulator's start.

mod admitted;
mod burndown;
mod call;
mod catalog;
mod config;
mod engine;
mod error;
mod fault;
pub mod http;
mod ledger;
mod model;
mod plan;
mod quota;
mod regions;
mod service;
mod settings;
mod simulator;
mod text;
mod tokens;

#[doc(inline)]
pub use tower_bedrock_core::{Operation, UnknownOperation};

pub use self::{
    admitted::Admitted,
    call::Call,
    config::{AccessKey, Config, ConfigError, Credentials, QuotaSettings},
    error::{Denied, Exception, ServiceError},
    fault::{FaultAt, FaultName, FaultSpec},
    ledger::{Ledger, LedgerEntry, QuotaLevel, QuotaLevels},
    plan::{At, Delta, Disruption, Plan, Step, StopReason},
    quota::BackgroundCaller,
    service::{
        Prompt, Reply, ReplyFuture, ReplyStream, ReplyStreamFuture, SimulatedBedrock,
        SimulatedError, StreamPrompt,
    },
    settings::{ModelSettings, OutputTokens, WindowShape},
    simulator::Simulator,
    tokens::{ContentClass, Input},
};
