use std::fmt;

use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::Duration;
use tower_bedrock_core::Fault;

use crate::{
    CircuitBreakerLayer, FaultClass, InvalidConfig, KeyFn, Observer, PerTarget, SlidingWindow,
    breaker::Rules, config::Settings, registry::Registry,
};

/// Builds a [`CircuitBreakerLayer`].
///
/// Names and defaults are those of resilience4j, where it has them:
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_breaker::{CircuitBreakerLayer, FaultClass, SlidingWindow};
///
/// let layer = CircuitBreakerLayer::builder()
///     .consecutive_failures(3)
///     .failure_rate_threshold(25.0)
///     .sliding_window(SlidingWindow::TimeBased(Duration::from_secs(60)))
///     .minimum_number_of_calls(20)
///     .wait_duration_in_open_state(Duration::from_secs(10))
///     .exponential_backoff_multiplier(2.0)
///     .permitted_number_of_calls_in_half_open_state(3)
///     // Throttling is the quota layer's business alone.
///     .classify(FaultClass::ignoring_throttles)
///     .build()?;
///
/// let error = CircuitBreakerLayer::builder().failure_rate_threshold(0.0).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "circuit breaker: failure_rate_threshold is 0.0: expected more than 0 to 100 percent",
/// );
/// # Ok::<(), tower_bedrock_breaker::InvalidConfig>(())
/// ```
pub struct CircuitBreakerBuilder<K: KeyFn = PerTarget> {
    key_fn: K,
    settings: Settings,
    max_keys: usize,
    seed: Option<u64>,
    classify: Box<dyn Fn(&Fault) -> FaultClass + Send + Sync>,
    observer: Box<dyn Observer<K::Key>>,
}

impl<K: KeyFn> CircuitBreakerBuilder<K> {
    pub(crate) fn new(key_fn: K) -> Self {
        Self {
            key_fn,
            settings: Settings::default(),
            max_keys: 1_024,
            seed: None,
            classify: Box::new(FaultClass::of),
            observer: Box::new(()),
        }
    }

    /// Opens after so many failures in a row: default 5, as AWS teaches it. At least 1.
    ///
    /// Soft failures and ignored calls in between neither add to the row nor end it; a success ends it.
    #[must_use]
    pub const fn consecutive_failures(mut self, failures: u32) -> Self {
        self.settings.consecutive_failures = Some(failures);
        self
    }

    /// Failures in a row don't open it.
    #[must_use]
    pub const fn without_consecutive_failures(mut self) -> Self {
        self.settings.consecutive_failures = None;
        self
    }

    /// Opens when the share of failed calls in the window reaches this: default 50 percent, more than 0 to
    /// 100. Soft failures count.
    ///
    /// Looked at whenever a call fails or is slow: a success never opens a breaker, not even as the one that
    /// completes the minimum number of calls, where resilience4j would open.
    #[must_use]
    pub const fn failure_rate_threshold(mut self, percent: f64) -> Self {
        self.settings.failure_rate = Some(percent);
        self
    }

    /// The share of failed calls doesn't open it.
    #[must_use]
    pub const fn without_failure_rate(mut self) -> Self {
        self.settings.failure_rate = None;
        self
    }

    /// Opens when the share of slow calls in the window reaches this, in percent: more than 0 to 100.
    /// Default: slow calls are not looked at.
    ///
    /// Here resilience4j has 100 percent, of calls over 60 seconds. With language models that isn't a fault
    /// but a long answer, and a batch of nothing else would open the breaker. Not looking also spares a
    /// success from reading the clock.
    #[must_use]
    pub const fn slow_call_rate_threshold(mut self, percent: f64) -> Self {
        self.settings.slow_call_rate = Some(percent);
        self
    }

    /// Calls that take longer than this are slow: default 60 seconds, 1 ms to 365 days. Without a
    /// [`slow_call_rate_threshold`](Self::slow_call_rate_threshold) it has no effect.
    ///
    /// Measured until the answer is there: for a unary call the whole of it, for a stream its first token,
    /// as the stream tells it or else when it begins. How long the rest takes is a matter of its length and
    /// not of the target's health. Waiting done by layers inside this one (for a quota, for a connection) is
    /// part of it, except where a stream tells its time to the first token.
    #[must_use]
    pub const fn slow_call_duration_threshold(mut self, duration: Duration) -> Self {
        self.settings.slow_call_duration = duration;
        self
    }

    /// Takes the rates over the last so many calls: default 100, 1 to 65,536. The same as
    /// [`sliding_window`](Self::sliding_window) with [`SlidingWindow::CountBased`].
    #[must_use]
    pub const fn sliding_window_size(self, calls: u32) -> Self {
        self.sliding_window(SlidingWindow::CountBased(calls))
    }

    /// Takes the rates over the last so many calls or the last so much time.
    #[must_use]
    pub const fn sliding_window(mut self, window: SlidingWindow) -> Self {
        self.settings.window = window;
        self
    }

    /// Looks at the rates only with so many calls in the window: default 100, or the size of a window that
    /// is smaller. At least 1; at most the size of a window that counts calls.
    #[must_use]
    pub const fn minimum_number_of_calls(mut self, calls: u32) -> Self {
        self.settings.minimum_number_of_calls = Some(calls);
        self
    }

    /// Stays open for so long: default 60 seconds, 1 ms to 365 days.
    #[must_use]
    pub const fn wait_duration_in_open_state(mut self, duration: Duration) -> Self {
        self.settings.wait_duration_in_open_state = duration;
        self
    }

    /// Multiplies the open interval by this each time the probes fail, until the breaker closes again:
    /// default 1, which keeps it as it is; 1 to 1,000.
    #[must_use]
    pub const fn exponential_backoff_multiplier(mut self, multiplier: f64) -> Self {
        self.settings.multiplier = multiplier;
        self
    }

    /// Never stays open for longer than this, jitter included: default 10 minutes, or the
    /// [`wait_duration_in_open_state`](Self::wait_duration_in_open_state) if that is longer. Up to 365 days.
    #[must_use]
    pub const fn exponential_max_wait_duration_in_open_state(mut self, duration: Duration) -> Self {
        self.settings.max_wait_duration_in_open_state = Some(duration);
        self
    }

    /// Draws the open interval evenly from so much around itself: 0.2 is 20% less to 20% more. Default 0;
    /// 0 to below 1.
    ///
    /// Worth having where many processes call one target: it keeps them from probing it all at once.
    #[must_use]
    pub const fn randomized_wait_factor(mut self, factor: f64) -> Self {
        self.settings.randomized_wait_factor = factor;
        self
    }

    /// Lets so many probes pass while half-open: default 10, 1 to 65,536.
    ///
    /// Exactly so many: a probe that reports keeps its place, one that is dropped or whose outcome is
    /// ignored gives it to the next call.
    #[must_use]
    pub const fn permitted_number_of_calls_in_half_open_state(mut self, calls: u32) -> Self {
        self.settings.permitted_in_half_open = calls;
        self
    }

    /// Closes when so many probes have succeeded. Default: as many as make it impossible that the failure
    /// threshold is still reached.
    #[must_use]
    pub const fn half_open_success_threshold(mut self, probes: u32) -> Self {
        self.settings.success_threshold = Some(probes);
        self
    }

    /// Opens again when so many probes have failed, throttled or been slow. Default: the
    /// [`failure_rate_threshold`](Self::failure_rate_threshold) of the probes, rounded up; one without it.
    ///
    /// The two thresholds may add up to at most one more than the probes: otherwise all probes could
    /// report and decide nothing.
    #[must_use]
    pub const fn half_open_failure_threshold(mut self, probes: u32) -> Self {
        self.settings.failure_threshold = Some(probes);
        self
    }

    /// Opens again when all places are taken and the probes haven't decided for so long after the last one
    /// was taken: default 5 minutes, 1 ms to 365 days.
    ///
    /// That is for probes that hang: without a limit, which is resilience4j's default, they would keep the
    /// breaker half-open for good. It must be longer than an honest answer takes, a stream's end included.
    #[must_use]
    pub const fn max_wait_duration_in_half_open_state(mut self, duration: Duration) -> Self {
        self.settings.max_wait_duration_in_half_open_state = duration;
        self
    }

    /// What a fault says about its target. Default: [`FaultClass::of`].
    #[must_use]
    pub fn classify(
        mut self,
        classify: impl Fn(&Fault) -> FaultClass + Send + Sync + 'static,
    ) -> Self {
        self.classify = Box::new(classify);
        self
    }

    /// Who is told of transitions. Default: nobody.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer<K::Key> + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Keeps about so many keys at most: default 1,024, 32 to 1,048,576.
    ///
    /// A further key takes the place of an idle one, of those the one asked for least, and what that one's
    /// window held is forgotten. Idle is a breaker that is closed, or whose open interval is over, and that
    /// nobody uses at the moment: no call under way, and no service whose last call was to it. Those that are
    /// open, in use or set by an operator keep their places. Where all places are kept, calls of a further
    /// key pass without a breaker until one is free.
    ///
    /// So a client that invents model ids can neither grow memory without limit nor get an open breaker
    /// forgotten.
    #[must_use]
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Seeds the randomness of the open interval, so that a run can be repeated. Default: from the system.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the setting that is out of range, its value and what is accepted.
    pub fn build(self) -> Result<CircuitBreakerLayer<K>, InvalidConfig> {
        let config = self.settings.check()?;
        InvalidConfig::check(
            (32..=1 << 20).contains(&self.max_keys),
            "max_keys",
            self.max_keys,
            "32 to 1048576",
        )?;
        let rules = Rules {
            config,
            classify: self.classify,
            observer: self.observer,
        };
        let seeds = match self.seed {
            Some(seed) => SmallRng::seed_from_u64(seed),
            None => rand::make_rng(),
        };
        Ok(CircuitBreakerLayer::new(Registry::new(
            self.key_fn,
            rules,
            self.max_keys,
            seeds,
        )))
    }
}

impl<K: KeyFn> fmt::Debug for CircuitBreakerBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerBuilder")
            .field("settings", &self.settings)
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}
