//! How many retries a target is worth.

mod bucket;
mod keyed;

use tokio::time::Duration;

use self::bucket::Rates;
pub(crate) use self::keyed::{Budgets, Withdrawal};
use crate::InvalidConfig;

/// How many retries a target may be sent, however many calls fail there: what keeps retries from adding
/// to an outage.
///
/// ```
/// use tower_bedrock_retry::{Budget, Policy, RetryLayer};
///
/// let budget = Budget::builder().percent(10).floor_per_second(1.0).build()?;
/// let layer = RetryLayer::builder(Policy::default()).budget(budget).build();
/// # Ok::<(), tower_bedrock_retry::InvalidConfig>(())
/// ```
///
/// Each target has a bucket, full at first. A retry takes one token, or the call gives up with
/// [`GaveUp::Budget`](tower_bedrock_core::GaveUp::Budget). Tokens come back
///
/// - whole, when the attempt they paid for succeeds, or never starts (the call was dropped, or ran out of
///   time, before it);
/// - at `percent` of a token for each call that succeeds, the first attempt or a later one;
/// - at `floor_per_second`.
///
/// So over any time of `t` seconds, the retries that did no good are at most
/// `burst + floor_per_second * t + percent/100 * calls answered`, exactly, however many threads take part.
/// Independent failures cost little, as most retries are worth it; in an outage nothing succeeds, and
/// what is sent there in vain ends with the bucket and the floor.
///
/// Sources: the percentage and the floor are Finagle's `RetryBudget`, which tower took over; that a
/// retry that succeeds costs nothing, and the token for each success, are the retry quota of the AWS SDKs.
/// Theirs is one for all targets; here, one throttled model does not take another's retries.
///
/// A stream counts as answered when its first content is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    percent: u32,
    floor_per_second: f64,
    burst: u32,
    max_targets: usize,
}

/// Builds a [`Budget`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct BudgetBuilder {
    budget: Budget,
}

impl Budget {
    /// Starts from the default.
    pub fn builder() -> BudgetBuilder {
        BudgetBuilder::default()
    }

    fn rates(&self) -> Rates {
        let every = (self.floor_per_second > 0.0)
            .then(|| Duration::from_secs_f64(self.floor_per_second.recip()));
        Rates::new(self.burst, self.percent, every)
    }
}

/// 20% of the calls answered, a floor of one retry in ten seconds, a burst of 50, for up to 1,000 targets.
impl Default for Budget {
    fn default() -> Self {
        Self {
            percent: 20,
            floor_per_second: 0.1,
            burst: 50,
            max_targets: 1_000,
        }
    }
}

// === impl BudgetBuilder ===

impl BudgetBuilder {
    /// How many tokens a hundred calls answered bring. Default: 20.
    pub fn percent(mut self, percent: u32) -> Self {
        self.budget.percent = percent;
        self
    }

    /// How many tokens a second brings, whatever happens: so that a client with few calls can retry them
    /// too. Default: 0.1.
    pub fn floor_per_second(mut self, tokens: f64) -> Self {
        self.budget.floor_per_second = tokens;
        self
    }

    /// How many tokens a bucket holds, and starts with. Default: 50.
    pub fn burst(mut self, tokens: u32) -> Self {
        self.budget.burst = tokens;
        self
    }

    /// How many targets are kept apart. A target is kept only while its bucket is not full; those that
    /// find no place share one bucket, to which calls that succeed bring nothing: it is not known whose they
    /// are. Default: 1,000.
    pub fn max_targets(mut self, targets: usize) -> Self {
        self.budget.max_targets = targets;
        self
    }

    /// The budget.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where `percent` is above 1,000, `floor_per_second` neither 0 nor within 0.001 to
    /// 1,000, `burst` not within 1 to 100,000, or `max_targets` not within 1 to 1,000,000.
    pub fn build(self) -> Result<Budget, InvalidConfig> {
        let Budget {
            percent,
            floor_per_second: floor,
            burst,
            max_targets,
        } = self.budget;
        InvalidConfig::check(percent <= 1_000, "percent", percent, "0 to 1000")?;
        InvalidConfig::check(
            floor == 0.0 || (0.001..=1_000.0).contains(&floor),
            "floor_per_second",
            floor,
            "0, or 0.001 to 1000",
        )?;
        InvalidConfig::check(
            (1..=100_000).contains(&burst),
            "burst",
            burst,
            "1 to 100000",
        )?;
        InvalidConfig::check(
            (1..=1_000_000).contains(&max_targets),
            "max_targets",
            max_targets,
            "1 to 1000000",
        )?;
        Ok(self.budget)
    }
}
