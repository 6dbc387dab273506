//! Who is compared in a closed loop.

use anyhow::Result;
use bedrock_sim::Simulator;
use tokio::time::Duration;
use tower_bedrock::quota::{LimiterBuilder, Window};
use tower_bedrock::retry::Policy;

use super::mirror::mirror;
use crate::{
    baselines::sdk,
    job::Subject,
    ours::{Ours, nothing_known, tokens_per_minute},
    world::{self, PRIMARY, TOKENS_PER_MINUTE},
};

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Sdk(sdk::Retries),
    FullJitter,
    Mirror,
    Quota,
    QuotaBucket,
    QuotaUnknown,
}

impl Who {
    pub(super) const ALL: [Self; 7] = [
        Self::Sdk(sdk::Retries::Standard),
        Self::Sdk(sdk::Retries::Adaptive),
        Self::FullJitter,
        Self::Mirror,
        Self::Quota,
        Self::QuotaBucket,
        Self::QuotaUnknown,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sdk(retries) => retries.name(),
            Self::FullJitter => "full jitter, no limit",
            Self::Mirror => "a mirror that knows all",
            Self::Quota => "ours: quota",
            Self::QuotaBucket => "ours: quota, told of the bucket",
            Self::QuotaUnknown => "ours: quota, told nothing",
        }
    }

    pub(super) const fn is_ours(self) -> bool {
        matches!(self, Self::Quota | Self::QuotaBucket | Self::QuotaUnknown)
    }

    pub(super) fn subject(self, simulator: &Simulator, seed: u64) -> Result<Subject> {
        let target = world::target(PRIMARY)?;
        let ours = || Ours::new(simulator.clone(), target.clone(), seed);
        let with_quota = |limiter: LimiterBuilder| {
            ours()
                .retry(Policy::default())
                .quota(limiter.max_wait(Duration::from_secs(600)))
                .build()
        };
        match self {
            Self::Sdk(retries) => sdk::client(simulator, &target, retries),
            Self::FullJitter => {
                let policy = Policy::builder().max_attempts(1_000).build()?;
                ours().retry_with(policy, None).build()
            }
            Self::Mirror => Ok(mirror(simulator, target)),
            Self::Quota => with_quota(tokens_per_minute(TOKENS_PER_MINUTE, Window::Sliding)),
            Self::QuotaBucket => with_quota(tokens_per_minute(TOKENS_PER_MINUTE, Window::Bucket)),
            Self::QuotaUnknown => with_quota(nothing_known()),
        }
    }
}
