//! Token-aware rate limiting for Amazon Bedrock: a mirror of Bedrock's own quotas inside the client, so that
//! calls wait their turn instead of earning 429s.
//!
//! ```
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_bedrock_core::{Answer, BoxError, Demand, Invocation, Target, TokenUsage};
//! use tower_bedrock_quota::{LimitTable, Limits, QuotaLayer, QuotaPattern};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let limits = LimitTable::new()
//!     .with(QuotaPattern::any(), Limits::new().with_tokens_per_minute(10_000));
//! let mut bedrock = ServiceBuilder::new()
//!     .layer(QuotaLayer::with_limits(limits)?)
//!     .service_fn(|_: Invocation<&'static str>| async {
//!         let usage = TokenUsage { input: 1_000, output: 700, ..TokenUsage::default() };
//!         Ok::<_, BoxError>(Answer::new("Hello.").with_usage(usage))
//!     });
//!
//! let start = Instant::now();
//! let target = Target::parse("us-east-1", "anthropic.claude-sonnet-4-20250514-v1:0")?;
//! for _ in 0..3 {
//!     let demand = Demand::new(1_000).with_max_output_tokens(1_000);
//!     let call = Invocation::new(target.clone(), "Say hello.").with_demand(demand);
//!     bedrock.ready().await?.call(call).await?;
//! }
//! // Each call was charged 1,000 + 5 x 700 = 4,500 in the end: the third had to wait for its turn.
//! assert!(start.elapsed() > Duration::from_secs(50));
//! # Ok(())
//! # }
//! ```
//!
//! # The arithmetic
//!
//! Before a call is sent, its input tokens (estimated) and `max_tokens` are reserved. When it ends, it is
//! settled at `input + cacheWrite + output x burndown`: what is left over comes back at once, and what it cost
//! beyond the reservation is debt that is worked off. A call that Bedrock refused, or that was never sent, is
//! refunded in full; one that was dropped in flight keeps its reservation, because nobody knows what it cost.
//! A stream is settled when it ends. Source: AWS, *How tokens are counted in Amazon Bedrock*.
//!
//! A quota belongs to a Region, a way of calling (on-demand, cross-Region, global) and a base model: see
//! [`QuotaKey`]. Requests a minute, tokens a minute and the Region's tokens a day are taken all or none.
//!
//! # Waiting
//!
//! Calls wait in a bounded queue per key: by priority class, then by fair shares between tenants in tokens
//! served (the virtual token counter of *Fairness in Serving Large Language Models*, OSDI '24), then in the
//! order they came. A call that asks for more than a whole limit, or that would wait beyond its deadline or
//! [`max_wait`](LimiterBuilder::max_wait), is refused at once: [`Exhausted`] says which limit, how much was
//! asked for, and when it is worth coming back. Nothing is spawned: the waiting calls themselves keep the time.
//!
//! # Learning
//!
//! Other applications share the quota, and limits may be declared wrongly or not at all. A 429 that arrives
//! despite local budget shrinks the limit that is kept, calm grows it back, and a limit that is not declared is
//! found from nothing. Overload and 503 teach nothing.
//!
//! # Where it stands in a stack
//!
//! Inside the circuit breaker, so that a call that is turned away costs nothing, and outside the timeout of an
//! attempt, so that waiting is not held against Bedrock.
//!
//! # Cost
//!
//! A call that need not wait takes one short lock of its key's own and allocates nothing.
//!
//! # Concurrency tests
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p tower-bedrock-quota --lib shuttle` runs the waiting queue under a
//! scheduler that tries many interleavings; `TOWER_BEDROCK_NIGHTLY=1 cargo test -p tower-bedrock-quota --release`
//! makes the property tests long.

mod budget;
mod config;
mod cost;
mod count;
mod day;
mod estimate;
mod exhausted;
mod future;
mod headroom;
mod key;
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
#[cfg(all(test, shuttle))]
mod shuttle_tests;
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
