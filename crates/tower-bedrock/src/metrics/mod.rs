//! What policies report, as metrics: the names are in [`cloudwatch::METRICS`](tower_bedrock_cloudwatch::METRICS).
//!
#![cfg_attr(
    all(
        feature = "breaker",
        feature = "cache",
        feature = "quota",
        feature = "retry"
    ),
    doc = "```"
)]
#![cfg_attr(
    not(all(
        feature = "breaker",
        feature = "cache",
        feature = "quota",
        feature = "retry"
    )),
    doc = "```ignore"
)]
//! use tower_bedrock::{
//!     breaker::CircuitBreakerLayer,
//!     cache::{CacheLayer, Key},
//!     metrics::{BreakerMetrics, CacheMetrics, QuotaMetrics, RetryMetrics},
//!     quota::{Limiter, QuotaLayer},
//!     retry::{Policy, RetryLayer},
//!     Invocation,
//! };
//!
//! // Install your recorder first.
//! let retry = RetryLayer::builder(Policy::default()).observer(RetryMetrics::new()).build();
//! let breaker = CircuitBreakerLayer::builder().observer(BreakerMetrics::new()).build()?;
//! let metrics = QuotaMetrics::new();
//! let limiter = Limiter::builder().observe(metrics.clone()).build()?;
//! let quota = QuotaLayer::new(limiter.clone());
//! let key = |call: &Invocation<String>| Some(Key::of(call, "Converse", call.input().as_bytes()));
//! let cache = CacheLayer::builder(key, String::len).observer(CacheMetrics::new());
//! let cache: CacheLayer<_, _, String> = cache.build()?;
//!
//! // How full a quota is nobody reports: it has to be looked at, now and then.
//! metrics.look(&limiter);
//! # let _ = (retry, breaker, quota, cache);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What requests and attempts come to is measured by the layers of `cloudwatch`; this is what lies between them.

#[cfg(feature = "breaker")]
mod breaker;
#[cfg(feature = "cache")]
mod cache;
#[cfg(feature = "quota")]
mod quota;
#[cfg(feature = "retry")]
mod retry;

#[cfg(feature = "breaker")]
pub use self::breaker::BreakerMetrics;
#[cfg(feature = "cache")]
pub use self::cache::CacheMetrics;
#[cfg(feature = "quota")]
pub use self::quota::QuotaMetrics;
#[cfg(feature = "retry")]
pub use self::retry::RetryMetrics;
