//! Who is compared on a Monday.

use anyhow::Result;
use bedrock_sim::Simulator;
use tokio::time::Duration;
use tower_bedrock::{
    Priority,
    quota::{LimiterBuilder, Window},
    retry::Policy,
};

use crate::{
    baselines::{naive, sdk},
    job::{Job, Subject},
    ours::{Ours, tokens_per_minute},
    world::{self, FALLBACK, PRIMARY, TOKENS_PER_MINUTE},
};

/// How long a call waits for quota where a queue is to be kept short: who waits longer is told at once.
const SHORTLY: Duration = Duration::from_secs(5);

/// A prompt of at most so many bytes is short: a quarter of all prompts are.
const SHORT: u64 = 2_400;

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Once,
    FiveAttempts,
    FiveAttemptsEach,
    Sdk(sdk::Retries),
    Retry,
    Breaker,
    Quota,
    QuotaShortly,
    Fallback,
    ShortFirst,
}

impl Who {
    pub(super) const ALL: [Self; 11] = [
        Self::Once,
        Self::FiveAttempts,
        Self::FiveAttemptsEach,
        Self::Sdk(sdk::Retries::Standard),
        Self::Sdk(sdk::Retries::Adaptive),
        Self::Retry,
        Self::Breaker,
        Self::Quota,
        Self::QuotaShortly,
        Self::Fallback,
        Self::ShortFirst,
    ];

    /// Those that are drawn.
    pub(super) const DRAWN: [Self; 7] = [
        Self::FiveAttempts,
        Self::FiveAttemptsEach,
        Self::Sdk(sdk::Retries::Standard),
        Self::Sdk(sdk::Retries::Adaptive),
        Self::QuotaShortly,
        Self::Fallback,
        Self::ShortFirst,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Once => "no retry",
            Self::FiveAttempts => "five-attempt loop",
            Self::FiveAttemptsEach => "five-attempt loop on each model",
            Self::Sdk(retries) => retries.name(),
            Self::Retry => "ours: retry",
            Self::Breaker => "ours: + breaker",
            Self::Quota => "ours: + quota",
            Self::QuotaShortly => "ours: + quota, 5 s at most",
            Self::Fallback => "ours: + fallback",
            Self::ShortFirst => "ours: + short prompts first",
        }
    }

    pub(super) fn subject(self, simulator: &Simulator, seed: u64) -> Result<Subject> {
        let (primary, fallback) = (world::target(PRIMARY)?, world::target(FALLBACK)?);
        let retry = || Ours::new(simulator.clone(), primary.clone(), seed).retry(Policy::default());
        let breaker = || retry().breaker(|b| b);
        let in_turn = |limiter| breaker().quota(limiter);
        let all = || in_turn(shortly()).fallback(fallback.clone(), SHORTLY);
        match self {
            Self::Once => Ok(naive::once(simulator, primary)),
            Self::FiveAttempts => Ok(naive::five_attempts(simulator, primary, seed)),
            Self::FiveAttemptsEach => Ok(naive::five_attempts_each(
                simulator, primary, fallback, seed,
            )),
            Self::Sdk(retries) => sdk::client(simulator, &primary, retries),
            Self::Retry => retry().build(),
            Self::Breaker => breaker().build(),
            Self::Quota => in_turn(mirror()).build(),
            Self::QuotaShortly => in_turn(shortly()).build(),
            Self::Fallback => all().build(),
            Self::ShortFirst => all().priority(short_first).build(),
        }
    }
}

fn mirror() -> LimiterBuilder {
    tokens_per_minute(TOKENS_PER_MINUTE, Window::Sliding)
}

fn shortly() -> LimiterBuilder {
    mirror().max_wait(SHORTLY)
}

fn short_first(job: &Job) -> Priority {
    if job.bytes <= SHORT {
        Priority::Interactive
    } else {
        Priority::Normal
    }
}
