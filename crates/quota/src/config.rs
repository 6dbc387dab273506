use std::{fmt, sync::Arc};

use hashbrown::HashMap;
use parking_lot::RwLock;
use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Burndown, Tenant};

use crate::{
    Estimate, LimitTable, Limiter, Limits, MaxOutputTokens, Observe, RightSizing,
    time::{Clock, nanos},
};

/// How a [`Limiter`] behaves.
pub(crate) struct Config {
    pub(crate) clock: Clock,
    pub(crate) burndown: Burndown,
    pub(crate) max_output_tokens: MaxOutputTokens,
    pub(crate) learns: bool,
    pub(crate) delay_variation: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) min_attempt_time: Option<Duration>,
    pub(crate) max_waiting: usize,
    pub(crate) max_keys: usize,
    /// Of tenants; others have 1.
    pub(crate) weights: RwLock<HashMap<Tenant, u32>>,
    pub(crate) quantile: f64,
    pub(crate) estimate: Option<Arc<dyn Estimate>>,
    pub(crate) right_sizing: Option<RightSizing>,
    pub(crate) observe: Option<Arc<dyn Observe>>,
    #[cfg(feature = "redis")]
    pub(crate) fleet: Option<crate::fleet::Fleet>,
}

/// Builds a [`Limiter`].
#[must_use]
pub struct LimiterBuilder {
    table: LimitTable,
    pub(crate) config: Config,
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    expected: String,
}

/// The longest that a call may be made to wait: a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// The longest that one call may be on its way beyond another.
const MOST_VARIATION: Duration = Duration::from_secs(10);

/// The same between processes of a fleet.
#[cfg(feature = "redis")]
const MOST_VARIATION_OF_A_FLEET: Duration = Duration::from_millis(500);

/// The most of anything that is kept.
const MOST_KEPT: usize = 10_000_000;

impl LimiterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            table: LimitTable::new(),
            config: Config {
                clock: Clock::starting_at(Instant::now()),
                burndown: Burndown::default(),
                max_output_tokens: MaxOutputTokens::default(),
                learns: true,
                delay_variation: Duration::from_millis(250),
                max_wait: Duration::from_secs(61),
                min_attempt_time: None,
                max_waiting: 1_024,
                max_keys: 1_024,
                weights: RwLock::default(),
                quantile: 0.99,
                estimate: None,
                right_sizing: None,
                observe: None,
                #[cfg(feature = "redis")]
                fleet: None,
            },
        }
    }

    /// Which keys have which limits. Default: none known.
    pub fn limits(mut self, table: LimitTable) -> Self {
        self.table = table;
        self
    }

    /// Output tokens' burndown rates. Default: AWS's published ones.
    pub fn burndown(mut self, burndown: Burndown) -> Self {
        self.config.burndown = burndown;
        self
    }

    /// What requests reserve that set no `max_tokens`. Default: the models' maxima.
    pub fn max_output_tokens(mut self, table: MaxOutputTokens) -> Self {
        self.config.max_output_tokens = table;
        self
    }

    /// Whether 429s shrink limits, find unknown ones, and calm grows them back. Default: yes.
    pub const fn learn(mut self, learn: bool) -> Self {
        self.config.learns = learn;
        self
    }

    /// How much longer one call may be on its way to Bedrock than another: zero to ten seconds. A call counts
    /// there from its arrival, and the next one may be quicker; so a sliding window keeps what was used for so
    /// much longer, and a bucket that was empty begins to drain so much later. (What polices ATM's cells calls it
    /// the *cell delay variation tolerance*.) A fixed cycle is left as it is: nobody knows so exactly when it turns.
    ///
    /// Default: 250 milliseconds, for a new connection's handshakes and a packet sent twice. They cost a sliding
    /// window 0.4% of its limit, and a bucket in use nothing. Zero where all calls take the same time to arrive.
    /// Of the limits that a fleet shares, half a second at most: others leave a member that has fallen
    /// silent a hundredth of a minute more, for this and for how fast clocks go.
    pub const fn delay_variation(mut self, time: Duration) -> Self {
        self.config.delay_variation = time;
        self
    }

    /// The longest a call waits, where its deadline is not sooner
    /// (see [`min_attempt_time`](Self::min_attempt_time)): up to a day. Default: 61 seconds, in
    /// which all of a minute's quota comes back once. Zero never waits.
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.config.max_wait = max_wait;
        self
    }

    /// The least time that an attempt needs: up to a day. A call that waits is let through while its deadline
    /// leaves that much, and is turned away at once where the forecast is later; one whose deadline leaves
    /// less to begin with is turned away although there is room.
    ///
    /// Default: learnt, for the calls that wait: the mean time from sent to answered of each key and twice its
    /// mean deviation, which some nine in ten answers keep to, once eight are known; of streams, to their first
    /// content. A call let through with less than that may be paid for and thrown away. One that finds room at
    /// once goes at once, unless its deadline has passed: it may be a quick one, and somebody has to find out
    /// when all get quicker.
    pub const fn min_attempt_time(mut self, time: Duration) -> Self {
        self.config.min_attempt_time = Some(time);
        self
    }

    /// How many calls of one priority class may wait for one key: 1 to 10,000,000. Default: 1,024. Beyond
    /// it the tenant with the most calls waiting loses its newest one to another that would have fewer.
    pub const fn max_waiting(mut self, calls: usize) -> Self {
        self.config.max_waiting = calls;
        self
    }

    /// How many keys are kept count of, and how many Regions' days: 1 to 10,000,000. Default: 1,024.
    /// Beyond it idle ones are forgotten. Where none is idle, calls to further keys pass unmetered unless
    /// they have limits, and are turned away if they do.
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.config.max_keys = keys;
        self
    }

    /// A tenant's weight: one of weight 2 is served twice the tokens of one of weight 1 while both wait.
    /// 1 to 1,000. Default: 1.
    pub fn tenant_weight(mut self, tenant: impl Into<Tenant>, weight: u32) -> Self {
        self.config.weights.get_mut().insert(tenant.into(), weight);
        self
    }

    /// The share of calls whose input is to be estimated at no less than it is: 0.5 to 0.999. Default: 0.99.
    /// Too high an estimate is given back when the call ends; too low a one can earn a 429.
    pub const fn estimate_quantile(mut self, quantile: f64) -> Self {
        self.config.quantile = quantile;
        self
    }

    /// Estimates input tokens in the limiter's stead.
    pub fn estimate(mut self, estimate: impl Estimate) -> Self {
        self.config.estimate = Some(Arc::new(estimate));
        self
    }

    /// Gives requests that set no `max_tokens` one. Default: they are left as they are.
    pub const fn right_size(mut self, sizing: RightSizing) -> Self {
        self.config.right_sizing = Some(sizing);
        self
    }

    /// Is told what the limiter does. Default: nobody.
    pub fn observe(mut self, observe: impl Observe) -> Self {
        self.config.observe = Some(Arc::new(observe));
        self
    }

    /// Shares the declared limits with other processes. Default: they are this process's alone.
    /// Their windows slide, whatever shape is declared.
    #[cfg(feature = "redis")]
    pub fn fleet(mut self, fleet: crate::fleet::Fleet) -> Self {
        self.config.fleet = Some(fleet);
        self
    }

    /// The limiter.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the setting that is out of its range, and the range.
    pub fn build(self) -> Result<Limiter, InvalidConfig> {
        let config = self.config;
        check_table(&self.table)?;
        check(
            "delay_variation",
            config.delay_variation.as_secs_f64(),
            0.0,
            MOST_VARIATION.as_secs_f64(),
        )?;
        check(
            "max_wait",
            config.max_wait.as_secs_f64(),
            0.0,
            LONGEST_WAIT.as_secs_f64(),
        )?;
        check(
            "min_attempt_time",
            config.min_attempt_time.unwrap_or_default().as_secs_f64(),
            0.0,
            LONGEST_WAIT.as_secs_f64(),
        )?;
        check("max_waiting", config.max_waiting, 1, MOST_KEPT)?;
        check("max_keys", config.max_keys, 1, MOST_KEPT)?;
        check_weights(&config.weights.read())?;
        check("estimate_quantile", config.quantile, 0.5, 0.999)?;
        if let Some(sizing) = config.right_sizing {
            check("right_size.quantile", sizing.quantile, 0.5, 0.999)?;
            check("right_size.margin", sizing.margin, 1.0, 100.0)?;
            check("right_size.after", sizing.after, 1, u32::MAX)?;
        }
        let table = self.table;
        Ok(Limiter::with_config(config, table))
    }
}

impl Config {
    /// The delay variation that a minute's windows allow for, in nanoseconds.
    pub(crate) fn delay_variation_of_a_minute(&self) -> u64 {
        #[cfg(feature = "redis")]
        if self.fleet.is_some() {
            return nanos(self.delay_variation.min(MOST_VARIATION_OF_A_FLEET));
        }
        nanos(self.delay_variation)
    }
}

#[cfg(feature = "redis")]
impl InvalidConfig {
    pub(crate) fn new(
        field: &'static str,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            field,
            value: value.into(),
            expected: expected.into(),
        }
    }
}

pub(crate) fn check_table(table: &LimitTable) -> Result<(), InvalidConfig> {
    match table.invalid() {
        Some((field, value)) => check(field, value, 1, Limits::MAX),
        None => Ok(()),
    }
}

pub(crate) fn check_weights(weights: &HashMap<Tenant, u32>) -> Result<(), InvalidConfig> {
    weights
        .values()
        .try_for_each(|weight| check("tenant_weight", *weight, 1, 1_000))
}

/// Written so that NaN is out of every range.
pub(crate) fn check<T: PartialOrd + fmt::Display>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), InvalidConfig> {
    if least <= value && value <= most {
        return Ok(());
    }
    Err(InvalidConfig {
        field,
        value: value.to_string(),
        expected: format!("{least} to {most}"),
    })
}

impl fmt::Debug for LimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterBuilder")
            .field("table", &self.table)
            .field("config", &self.config)
            .finish()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("learns", &self.learns)
            .field("delay_variation", &self.delay_variation)
            .field("max_wait", &self.max_wait)
            .field("min_attempt_time", &self.min_attempt_time)
            .field("max_waiting", &self.max_waiting)
            .field("max_keys", &self.max_keys)
            .field("estimate_quantile", &self.quantile)
            .field("right_sizing", &self.right_sizing)
            .finish_non_exhaustive()
    }
}
