//! Who is compared on a Monday.

use anyhow::Result;
use bedrock_sim::Simulator;
use tokio::time::Duration;
use tower_bedrock::quota::Window;
use tower_bedrock::retry::Policy;

use crate::{
    baselines::{naive, sdk},
    job::Subject,
    ours::{Ours, tokens_per_minute},
    world::{self, FALLBACK, PRIMARY, TOKENS_PER_MINUTE},
};

/// A call that waits for longer is not answered within 60 seconds: an answer takes 13 at most.
const IN_TIME: Duration = Duration::from_secs(40);

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Once,
    Naive,
    Sdk(sdk::Retries),
    Retry,
    Breaker,
    Quota,
    QuotaInTime,
    Fallback,
}

impl Who {
    pub(super) const ALL: [Self; 9] = [
        Self::Once,
        Self::Naive,
        Self::Sdk(sdk::Retries::Standard),
        Self::Sdk(sdk::Retries::Adaptive),
        Self::Retry,
        Self::Breaker,
        Self::Quota,
        Self::QuotaInTime,
        Self::Fallback,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Once => "no retry",
            Self::Naive => "five-attempt loop",
            Self::Sdk(retries) => retries.name(),
            Self::Retry => "ours: retry",
            Self::Breaker => "ours: + breaker",
            Self::Quota => "ours: + quota",
            Self::QuotaInTime => "ours: + quota, 40 s at most",
            Self::Fallback => "ours: + fallback",
        }
    }

    pub(super) fn subject(self, simulator: &Simulator, seed: u64) -> Result<Subject> {
        let target = world::target(PRIMARY)?;
        let retry = || Ours::new(simulator.clone(), target.clone(), seed).retry(Policy::default());
        let limiter = || tokens_per_minute(TOKENS_PER_MINUTE, Window::Sliding);
        match self {
            Self::Once => Ok(naive::once(simulator, target)),
            Self::Naive => Ok(naive::five_attempts(simulator, target, seed)),
            Self::Sdk(retries) => sdk::client(simulator, &target, retries),
            Self::Retry => retry().build(),
            Self::Breaker => retry().breaker(|b| b).build(),
            Self::Quota => retry().breaker(|b| b).quota(limiter()).build(),
            Self::QuotaInTime => retry()
                .breaker(|b| b)
                .quota(limiter().max_wait(IN_TIME))
                .build(),
            Self::Fallback => retry()
                .breaker(|b| b)
                .quota(limiter().max_wait(IN_TIME))
                .fallback(world::target(FALLBACK)?, Duration::from_secs(5))
                .build(),
        }
    }
}
