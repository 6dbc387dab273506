use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock_core::Region;

use crate::{ConfigError, config::check};

/// Other applications of the account, which use up the quota of one model at a steady rate.
///
/// ```
/// use bedrock_sim::{BackgroundCaller, Config, Simulator};
///
/// // From the tenth simulated second on, somebody else takes half of a quota.
/// let simulator = Simulator::new(Config::default())?;
/// simulator.add_background(&BackgroundCaller {
///     requests_per_minute: 100,
///     tokens_per_minute: 100_000,
///     from_ms: 10_000,
///     ..BackgroundCaller::new("us.anthropic.claude-sonnet-4-20250514-v1:0")
/// })?;
/// # Ok::<(), bedrock_sim::ConfigError>(())
/// ```
///
/// Its requests come evenly spaced (above 600 a minute: in ten groups a second) and take what there is
/// room for. They are not in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackgroundCaller {
    /// The model id; its prefix names the route.
    pub model: String,
    /// The Region; without it the default one.
    #[serde(default)]
    pub region: Option<String>,
    /// Requests a minute.
    #[serde(default)]
    pub requests_per_minute: u64,
    /// Tokens a minute, as settled.
    #[serde(default)]
    pub tokens_per_minute: u64,
    /// From when on, in simulated milliseconds since it was added.
    #[serde(default)]
    pub from_ms: u64,
    /// Until when; without it for ever.
    #[serde(default)]
    pub until_ms: Option<u64>,
}

impl BackgroundCaller {
    /// The highest rate accepted, of requests and of tokens: 10^12 a minute.
    pub const MAX_RATE: u64 = 1_000_000_000_000;

    /// A caller of a model in the default Region that does nothing yet.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            region: None,
            requests_per_minute: 0,
            tokens_per_minute: 0,
            from_ms: 0,
            until_ms: None,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let rates = 0..=Self::MAX_RATE;
        check(
            "background.requests_per_minute",
            self.requests_per_minute,
            rates.clone(),
        )?;
        check(
            "background.tokens_per_minute",
            self.tokens_per_minute,
            rates,
        )?;
        match self.until_ms {
            Some(until) if until <= self.from_ms => Err(ConfigError::invalid(
                "background.until_ms",
                until,
                format!("more than from_ms ({})", self.from_ms),
            )),
            _ => Ok(()),
        }
    }
}

/// A background caller at work.
#[derive(Debug)]
pub(crate) struct Background {
    /// The number of the quota it uses up.
    pub(crate) quota: usize,
    pub(crate) region: Region,
    requests: u128,
    tokens: u128,
    from: Duration,
    until: Option<Duration>,
    /// The number of its next tick.
    next: u128,
}

/// A day: what came before has no part in any window's level, but for a cycle of a day.
const MAX_BEHIND: Duration = Duration::from_secs(86_400);

impl Background {
    pub(crate) fn new(
        caller: &BackgroundCaller,
        quota: usize,
        region: Region,
        now: Duration,
    ) -> Self {
        let after = |ms| now.saturating_add(Duration::from_millis(ms));
        Self {
            quota,
            region,
            requests: u128::from(caller.requests_per_minute),
            tokens: u128::from(caller.tokens_per_minute),
            from: after(caller.from_ms),
            until: caller.until_ms.map(after),
            next: 0,
        }
    }

    /// One request a tick, as long as that is at most ten a second.
    const fn ticks_per_minute(&self) -> u128 {
        match self.requests {
            0 => 60,
            1..=600 => self.requests,
            _ => 600,
        }
    }

    /// When its next tick is, or `None` when it will have none.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        let millis = (self.next * 60_000) / self.ticks_per_minute();
        let nanos = (self.next * 60_000_000_000) / self.ticks_per_minute() % 1_000_000;
        let after = Duration::from_millis(u64::try_from(millis).ok()?)
            + Duration::from_nanos(u64::try_from(nanos).ok()?);
        let at = self.from.saturating_add(after);
        self.until.is_none_or(|until| at < until).then_some(at)
    }

    /// Leaves out what was longer than a day ago, so that nobody waits for it to be caught up with.
    pub(crate) fn skip_to(&mut self, now: Duration) {
        let behind = now.saturating_sub(MAX_BEHIND).saturating_sub(self.from);
        let tick = behind.as_millis() * self.ticks_per_minute() / 60_000;
        self.next = self.next.max(tick);
    }

    /// What the next tick asks for: requests and tokens. Over a minute they add up to the rates exactly.
    pub(crate) fn tick(&mut self) -> (u64, u64) {
        let per_minute = self.ticks_per_minute();
        let tick = self.next;
        self.next += 1;
        let share = |rate: u128| {
            let amount = rate * (tick + 1) / per_minute - rate * tick / per_minute;
            u64::try_from(amount).unwrap_or(u64::MAX)
        };
        (share(self.requests), share(self.tokens))
    }
}
