//! What every breaker of a layer goes by: as it was set, and checked.

mod open_interval;

use std::{fmt, ops::RangeInclusive};

use tokio::time::Duration;

pub(crate) use self::open_interval::OpenInterval;
use crate::SlidingWindow;

/// As a user sets it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) consecutive_failures: Option<u32>,
    pub(crate) failure_rate: Option<f64>,
    pub(crate) slow_call_rate: Option<f64>,
    pub(crate) slow_call_duration: Duration,
    pub(crate) window: SlidingWindow,
    pub(crate) minimum_number_of_calls: Option<u32>,
    pub(crate) wait_duration_in_open_state: Duration,
    pub(crate) multiplier: f64,
    pub(crate) max_wait_duration_in_open_state: Option<Duration>,
    pub(crate) randomized_wait_factor: f64,
    pub(crate) permitted_in_half_open: u32,
    pub(crate) success_threshold: Option<u32>,
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) max_wait_duration_in_half_open_state: Duration,
}

/// As the state machine goes by it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) consecutive_failures: Option<u32>,
    /// In percent.
    pub(crate) failure_rate: Option<f64>,
    pub(crate) slow_calls: Option<SlowCalls>,
    pub(crate) window: SlidingWindow,
    pub(crate) minimum_number_of_calls: u64,
    pub(crate) open_interval: OpenInterval,
    pub(crate) half_open: HalfOpen,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowCalls {
    /// In percent.
    pub(crate) rate: f64,
    /// Longer than this is slow.
    pub(crate) duration: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct HalfOpen {
    pub(crate) permitted: u32,
    /// The two thresholds add up to at most `permitted + 1`, so that when every probe has reported, one of
    /// them has been reached.
    pub(crate) success_threshold: u32,
    pub(crate) failure_threshold: u32,
    pub(crate) max_wait: Duration,
}

/// A setting of a circuit breaker that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("circuit breaker: {field} is {value}: expected {accepted}")]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    accepted: String,
}

/// Short enough that no time a breaker reckons with can overflow.
const DURATIONS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(365 * 24 * 60 * 60);
const SIZES: RangeInclusive<u32> = 1..=65_536;

impl Settings {
    pub(crate) fn check(&self) -> Result<Config, InvalidConfig> {
        let check = InvalidConfig::check;
        check(
            self.consecutive_failures != Some(0),
            "consecutive_failures",
            0,
            "at least 1",
        )?;
        check_percent("failure_rate_threshold", self.failure_rate)?;
        check_percent("slow_call_rate_threshold", self.slow_call_rate)?;
        check_duration("slow_call_duration_threshold", self.slow_call_duration)?;
        Ok(Config {
            consecutive_failures: self.consecutive_failures,
            failure_rate: self.failure_rate,
            slow_calls: self.slow_call_rate.map(|rate| SlowCalls {
                rate,
                duration: self.slow_call_duration,
            }),
            window: self.window,
            minimum_number_of_calls: self.check_window()?.into(),
            open_interval: self.check_open_interval()?,
            half_open: self.check_half_open()?,
        })
    }

    /// Answers the minimum number of calls.
    fn check_window(&self) -> Result<u32, InvalidConfig> {
        const DEFAULT: u32 = 100;
        let most = match self.window {
            SlidingWindow::CountBased(calls) => {
                check_size("sliding_window_size", calls)?;
                calls
            }
            SlidingWindow::TimeBased(length) => {
                check_duration("sliding_window", length)?;
                u32::MAX
            }
        };
        let minimum = self.minimum_number_of_calls.unwrap_or(DEFAULT.min(most));
        InvalidConfig::check(
            (1..=most).contains(&minimum),
            "minimum_number_of_calls",
            minimum,
            format!("1 to {most}"),
        )?;
        Ok(minimum)
    }

    fn check_open_interval(&self) -> Result<OpenInterval, InvalidConfig> {
        const DEFAULT_MAX: Duration = Duration::from_secs(600);
        let base = self.wait_duration_in_open_state;
        let max = self
            .max_wait_duration_in_open_state
            .unwrap_or(DEFAULT_MAX.max(base));
        let (multiplier, randomized) = (self.multiplier, self.randomized_wait_factor);
        check_duration("wait_duration_in_open_state", base)?;
        InvalidConfig::check(
            (base..=*DURATIONS.end()).contains(&max),
            "exponential_max_wait_duration_in_open_state",
            max,
            format!("{base:?} (wait_duration_in_open_state) to 365 days"),
        )?;
        InvalidConfig::check(
            (1.0..=1_000.0).contains(&multiplier),
            "exponential_backoff_multiplier",
            multiplier,
            "1 to 1000",
        )?;
        InvalidConfig::check(
            (0.0..1.0).contains(&randomized),
            "randomized_wait_factor",
            randomized,
            "0 to below 1",
        )?;
        Ok(OpenInterval {
            base,
            multiplier,
            max,
            randomized,
        })
    }

    fn check_half_open(&self) -> Result<HalfOpen, InvalidConfig> {
        let permitted = self.permitted_in_half_open;
        check_size("permitted_number_of_calls_in_half_open_state", permitted)?;
        let max_wait = self.max_wait_duration_in_half_open_state;
        check_duration("max_wait_duration_in_half_open_state", max_wait)?;

        for (field, threshold) in [
            ("half_open_success_threshold", self.success_threshold),
            ("half_open_failure_threshold", self.failure_threshold),
        ] {
            InvalidConfig::check(
                threshold.is_none_or(|probes| (1..=permitted).contains(&probes)),
                field,
                threshold.unwrap_or_default(),
                format!("1 to {permitted} (permitted_number_of_calls_in_half_open_state)"),
            )?;
        }

        let by_rate = match self.failure_rate {
            Some(percent) => (percent * f64::from(permitted) / 100.0).ceil() as u32,
            None => 1,
        };
        // What is left to the other threshold: between them they use all probes and one more.
        let rest = |threshold: u32| permitted + 1 - threshold;
        let failure_threshold = self.failure_threshold.unwrap_or_else(|| {
            self.success_threshold
                .map_or(by_rate, |success| by_rate.min(rest(success)))
        });
        let most = rest(failure_threshold);
        let success_threshold = self.success_threshold.unwrap_or(most);
        InvalidConfig::check(
            success_threshold <= most,
            "half_open_success_threshold",
            success_threshold,
            format!(
                "at most {most} ({permitted} probes + 1 - failure threshold {failure_threshold})"
            ),
        )?;
        Ok(HalfOpen {
            permitted,
            success_threshold,
            failure_threshold,
            max_wait,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(5),
            failure_rate: Some(50.0),
            slow_call_rate: None,
            slow_call_duration: Duration::from_secs(60),
            window: SlidingWindow::CountBased(100),
            minimum_number_of_calls: None,
            wait_duration_in_open_state: Duration::from_secs(60),
            multiplier: 1.0,
            max_wait_duration_in_open_state: None,
            randomized_wait_factor: 0.0,
            permitted_in_half_open: 10,
            success_threshold: None,
            failure_threshold: None,
            max_wait_duration_in_half_open_state: Duration::from_secs(300),
        }
    }
}

// === impl InvalidConfig ===

impl InvalidConfig {
    pub(crate) fn check(
        ok: bool,
        field: &'static str,
        value: impl fmt::Debug,
        accepted: impl Into<String>,
    ) -> Result<(), Self> {
        if ok {
            return Ok(());
        }
        Err(Self {
            field,
            value: format!("{value:?}"),
            accepted: accepted.into(),
        })
    }

    /// The setting's name, as the builder spells it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

fn check_duration(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    InvalidConfig::check(DURATIONS.contains(&value), field, value, "1ms to 365 days")
}

fn check_size(field: &'static str, value: u32) -> Result<(), InvalidConfig> {
    InvalidConfig::check(SIZES.contains(&value), field, value, "1 to 65536")
}

fn check_percent(field: &'static str, value: Option<f64>) -> Result<(), InvalidConfig> {
    let Some(percent) = value else { return Ok(()) };
    let ok = percent > 0.0 && percent <= 100.0;
    InvalidConfig::check(ok, field, percent, "more than 0 to 100 percent")
}
