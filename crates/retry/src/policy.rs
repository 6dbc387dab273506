use std::{fmt, sync::Arc};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::Target;

use crate::{InvalidConfig, Plan, QuotaCycle};

/// What is decided by: which faults are retried and when, how often, and for how long.
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_retry::Policy;
///
/// let policy = Policy::builder()
///     .max_attempts(3)
///     .min_attempt_time(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(policy.max_attempts(), 3);
/// # Ok::<(), tower_bedrock_retry::InvalidConfig>(())
/// ```
///
/// Cheap to clone. The call's deadline is not set here: it comes with the request, in its
/// [`Context`](tower_bedrock_core::Context).
#[derive(Clone)]
pub struct Policy {
    max_attempts: u32,
    max_elapsed: Option<Duration>,
    min_attempt_time: Duration,
    max_retry_after: Duration,
    plan: Arc<Plan>,
    quota_cycle: Option<Arc<dyn QuotaCycle + Send + Sync>>,
}

/// Builds a [`Policy`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PolicyBuilder {
    policy: Policy,
}

impl Policy {
    /// Starts from the default.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// The most attempts a call makes, the first one included.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// For how long after the start of a call a retry may start.
    #[must_use]
    pub const fn max_elapsed(&self) -> Option<Duration> {
        self.max_elapsed
    }

    /// The time before the deadline that a retry is not worth starting without.
    #[must_use]
    pub const fn min_attempt_time(&self) -> Duration {
        self.min_attempt_time
    }

    /// The longest wait that is taken from a `Retry-After`.
    #[must_use]
    pub const fn max_retry_after(&self) -> Duration {
        self.max_retry_after
    }

    /// Which faults are retried, and when.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn until_refresh(&self, target: &Target, now: Instant) -> Option<Duration> {
        self.quota_cycle.as_ref()?.until_refresh(target, now)
    }
}

/// Five attempts, no bound on the total time but the call's deadline, no least time for an attempt, a
/// `Retry-After` of up to 5 minutes, the default [`Plan`], no quota cycle known.
impl Default for Policy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            max_elapsed: None,
            min_attempt_time: Duration::ZERO,
            max_retry_after: Duration::from_secs(300),
            plan: Arc::default(),
            quota_cycle: None,
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("max_attempts", &self.max_attempts)
            .field("max_elapsed", &self.max_elapsed)
            .field("min_attempt_time", &self.min_attempt_time)
            .field("max_retry_after", &self.max_retry_after)
            .field("plan", &self.plan)
            .field("quota_cycle", &self.quota_cycle.as_ref().map(|_| ".."))
            .finish()
    }
}

// === impl PolicyBuilder ===

impl PolicyBuilder {
    /// The most attempts a call makes, the first one included; 1 never retries. Default: 5, as AWS
    /// teaches it for Bedrock.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.policy.max_attempts = attempts;
        self
    }

    /// For how long after the start of a call a retry may start. Default: no bound of its own; the
    /// call's deadline holds in any case.
    pub fn max_elapsed(mut self, elapsed: impl Into<Option<Duration>>) -> Self {
        self.policy.max_elapsed = elapsed.into();
        self
    }

    /// The time an attempt needs to be of any use: a retry that would start with no more than this left
    /// before the deadline is not made. Default: zero, so that a retry starts before the deadline.
    pub fn min_attempt_time(mut self, time: Duration) -> Self {
        self.policy.min_attempt_time = time;
        self
    }

    /// The longest wait that is taken from a `Retry-After`; a longer one is cut to this. Whether it goes
    /// beyond the deadline is judged by what was asked for. Default: 5 minutes.
    pub fn max_retry_after(mut self, cap: Duration) -> Self {
        self.policy.max_retry_after = cap;
        self
    }

    /// Which faults are retried, and when. Default: [`Plan::default`].
    pub fn plan(mut self, plan: Plan) -> Self {
        self.policy.plan = Arc::new(plan);
        self
    }

    /// Tells when quotas are refreshed. Default: not known, so no wait is aligned to it.
    pub fn quota_cycle(mut self, cycle: impl QuotaCycle + Send + Sync + 'static) -> Self {
        self.policy.quota_cycle = Some(Arc::new(cycle));
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where `max_attempts` is not within 1 to 1000 or `max_elapsed` is zero.
    pub fn build(self) -> Result<Policy, InvalidConfig> {
        let attempts = self.policy.max_attempts;
        InvalidConfig::check(
            (1..=1000).contains(&attempts),
            "max_attempts",
            attempts,
            "1 to 1000",
        )?;
        if let Some(elapsed) = self.policy.max_elapsed {
            InvalidConfig::check(
                !elapsed.is_zero(),
                "max_elapsed",
                elapsed,
                "more than zero, or none",
            )?;
        }
        Ok(self.policy)
    }
}
