//! Token-aware rate limiting for Amazon Bedrock: a mirror of its quotas inside the client, so that requests
//! wait their turn instead of earning 429s, with nothing of the quota wasted.
//!
//! ```
//! use tower::{Layer, ServiceExt};
//! use tower_bedrock_core::{Answer, BoxError, Demand, Invocation, Target, TokenUsage};
//! use tower_bedrock_quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // What this account may use of a model family, when called through geographic profiles.
//! let limits = LimitTable::new().with(
//!     QuotaPattern::model("anthropic.claude-sonnet-4-2*").cross_region(),
//!     Limits::new().with_requests_per_minute(200).with_tokens_per_minute(200_000),
//! );
//! let limiter = Limiter::builder().limits(limits).build()?;
//!
//! // Any Tower service whose requests say what they may cost, and whose responses what they have cost.
//! let bedrock = tower::service_fn(|_: Invocation<&str>| async {
//!     let usage = TokenUsage { input: 1_000, output: 100, ..TokenUsage::default() };
//!     Ok::<_, BoxError>(Answer::new("Hello.").with_usage(usage))
//! });
//! let service = QuotaLayer::new(limiter.clone()).layer(bedrock);
//!
//! let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
//! let demand = Demand::new(1_000).with_max_output_tokens(4_000);
//! let call = Invocation::new(target.clone(), "Say hello.").with_demand(demand);
//! service.oneshot(call).await?;
//!
//! // 5,000 tokens were reserved; 1,000 in and five times 100 out were used.
//! let level = limiter.snapshot(&target).unwrap().tokens_per_minute;
//! assert_eq!(level.used, 1_500);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - **Reserves** before a call is sent what Bedrock deducts when it starts: the input and `max_tokens`.
//! - **Settles** when it ends, a stream's at its end: `input + cache writes + output x burndown`. What was
//!   not used is free at once; what was overshot is debt, worked off before the next call goes.
//! - **Waits** where there is no room: the more urgent class first, then the tenant that was served least,
//!   then arrival. A call that would wait longer than its deadline (the time for an answer kept free) or
//!   the limiter's `max_wait` allows, or that asks for more than the whole limit, is turned away at once:
//!   [`Exhausted`] says which limit, how much was asked, and when to come back.
//! - **Learns**: how many tokens a request's bytes are, from each reply's usage; and the limits
//!   themselves, where they are not declared or shared with others, from 429s.
//! - **Tells** how long a call would wait ([`Headroom`](tower_bedrock_core::Headroom)) and how every limit
//!   stands ([`Limiter::snapshot`]).
//!
//! # What comes back, and what is kept
//!
//! | how a call ended | reserved tokens |
//! |---|---|
//! | answered, with its usage | the true cost is charged instead |
//! | turned away here, or dropped before it was sent | back |
//! | throttled, refused (4xx), overloaded, unavailable | back: Bedrock did not run it |
//! | internal error, the model failed or timed out, no answer, a timeout | kept: it may have run |
//! | dropped in flight; a stream dropped or cut before it told its usage | kept: it runs on |
//!
//! What is kept counts until it leaves the window.
//!
//! # Windows
//!
//! AWS does not document the shape of Bedrock's minute. The default, [`Window::Sliding`], never lets through
//! more than the limit in any sixty seconds, which is within the limit in every other shape too. What another
//! one would buy is told at [`Window`]. A call counts at Bedrock from its arrival, which is not always equally
//! late: what was used counts here a little longer
//! ([`delay_variation`](LimiterBuilder::delay_variation)).
//!
//! # Quotas belong to the account
//!
//! Several processes of one account use one quota, and this limiter knows of one process. Let them share it
//! through Redis (feature `redis`, module `fleet`), give each a share
//! of the limit, or let them learn: a 429 that arrives although there is room here shrinks the limit that
//! is kept to, and calm lets it grow back.
//!
//! # Who goes next
//!
//! Of those who wait for one key, the more urgent class goes first. Within a class tenants share by the tokens that they
//! were served, divided by their [weights](LimiterBuilder::tenant_weight): virtual token counters, as in Sheng et al.,
//! [*Fairness in Serving Large Language Models*](https://www.usenix.org/conference/osdi24/presentation/sheng) (OSDI '24).
//! Of two tenants of one weight that both wait all along, neither is served more than the other by more than
//! twice the larger of the largest call and the most tokens that are reserved at once; who floods the queue gains nothing
//! by it. A tenant that comes back after a pause brings no old credit. The call whose turn it is waits for its room however
//! large it is, and nobody passes it; one that is larger than the limit never waits.
//!
//! # Where it stands in a stack
//!
//! Inside the retry layer and the circuit breaker, and outside the timeout of an attempt: every attempt
//! takes from the quota, and the time a call waits here is not held against the attempt.

mod attempt;
mod budget;
mod config;
mod cost;
mod count;
mod day;
mod estimate;
mod exhausted;
#[cfg(feature = "redis")]
pub mod fleet;
mod future;
mod headroom;
mod key;
mod keys;
mod layer;
mod learn;
mod limiter;
mod limits;
mod meter;
mod model;
mod observe;
mod queue;
mod quota_key;
mod rate;
mod registry;
mod reservation;
mod service;
#[cfg(feature = "service-quotas")]
mod service_quotas;
#[cfg(all(test, shuttle))]
mod shuttle_tests;
mod start;
mod state;
mod sync;
mod table;
mod time;
mod waiting;
mod window;

pub use self::{
    config::{InvalidConfig, LimiterBuilder},
    count::CountTokens,
    estimate::{Estimate, MaxOutputTokens, RightSizing},
    exhausted::{Exhausted, Reason},
    future::ResponseFuture,
    headroom::{Level, Snapshot},
    layer::QuotaLayer,
    limiter::Limiter,
    limits::{Limit, Limits},
    observe::Observe,
    quota_key::{QuotaKey, QuotaRoute},
    reservation::Reservation,
    service::Quota,
    table::{LimitTable, QuotaPattern},
    window::Window,
};
