//! Who is compared in an outage.

use anyhow::Result;
use bedrock_sim::Simulator;
use tokio::time::Duration;
use tower_bedrock::breaker::{CircuitBreakerBuilder, FaultClass};
use tower_bedrock::quota::{LimiterBuilder, Window};
use tower_bedrock::retry::Policy;

use super::TOKENS_PER_MINUTE;

use crate::{
    baselines::{naive, sdk},
    job::Subject,
    ours::{Ours, nothing_known, tokens_per_minute},
    world::{self, FALLBACK, PRIMARY},
};

/// An answer takes 13 seconds at most.
pub(super) const ATTEMPT: Duration = Duration::from_secs(30);

/// The default.
const TWO_MINUTES: Duration = Duration::from_secs(120);

/// A call that waits for longer is not answered within 60 seconds.
const IN_TIME: Duration = Duration::from_secs(40);

/// The longest wait for which a call is not sent to the other model.
pub(super) const SHORTLY: Duration = Duration::from_secs(5);

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Once,
    Naive,
    Sdk(sdk::Retries),
    Retry,
    Breaker,
    AsItComes,
    TunedBreaker,
    Quota,
    Fallback,
}

impl Who {
    pub(super) const ALL: [Self; 10] = [
        Self::Once,
        Self::Naive,
        Self::Sdk(sdk::Retries::Standard),
        Self::Sdk(sdk::Retries::Adaptive),
        Self::Retry,
        Self::Breaker,
        Self::AsItComes,
        Self::TunedBreaker,
        Self::Quota,
        Self::Fallback,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Once => "no retry",
            Self::Naive => "five-attempt loop",
            Self::Sdk(retries) => retries.name(),
            Self::Retry => "ours: retry",
            Self::Breaker => "ours: + breaker",
            Self::AsItComes => "ours: as it comes",
            Self::TunedBreaker => "ours: + tuned breaker",
            Self::Quota => "ours: + quota",
            Self::Fallback => "ours: + fallback",
        }
    }

    pub(super) const fn is_drawn(self) -> bool {
        !matches!(self, Self::Once | Self::Breaker | Self::AsItComes)
    }

    pub(super) fn subject(self, simulator: &Simulator, seed: u64) -> Result<Subject> {
        let target = world::target(PRIMARY)?;
        let ours = Ours::new(simulator.clone(), target.clone(), seed);
        let ours = ours.attempt_timeout(ATTEMPT)?.retry(Policy::default());
        match self {
            Self::Once => Ok(naive::once(simulator, target)),
            Self::Naive => Ok(naive::five_attempts(simulator, target, seed)),
            Self::Sdk(retries) => sdk::client(simulator, &target, retries),
            Self::Retry => ours.build(),
            Self::Breaker => ours.breaker(|b| b).build(),
            Self::AsItComes => ours
                .attempt_timeout(TWO_MINUTES)?
                .breaker(|b| b)
                .quota(nothing_known())
                .build(),
            Self::TunedBreaker => ours.breaker(tuned).build(),
            Self::Quota => ours.breaker(tuned).quota(mirror()).build(),
            Self::Fallback => ours
                .breaker(tuned)
                .quota(mirror())
                .fallback(world::target(FALLBACK)?, SHORTLY)
                .build(),
        }
    }
}

/// Told of the quota.
pub(super) fn mirror() -> LimiterBuilder {
    tokens_per_minute(TOKENS_PER_MINUTE, Window::Sliding).max_wait(IN_TIME)
}

/// Probes every ten seconds, three at a time, and leaves throttles to whoever keeps the quota.
pub(super) fn tuned(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .wait_duration_in_open_state(Duration::from_secs(10))
        .permitted_number_of_calls_in_half_open_state(3)
        .classify(FaultClass::ignoring_throttles)
}
