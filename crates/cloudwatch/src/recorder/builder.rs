use std::{fmt, ops::RangeInclusive, sync::Arc, time::SystemTime};

use tokio::time::Duration;

use super::CloudWatchRecorder;
use crate::table;
use crate::{limits, names};

/// Builds a [`CloudWatchRecorder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CloudWatchRecorderBuilder {
    namespace: String,
    dimensions: Vec<(String, String)>,
    roll_up: Vec<String>,
    interval: Duration,
    timeout: Duration,
    shutdown_timeout: Duration,
    max_backoff: Duration,
    max_series: usize,
    max_periods: usize,
    clock: Clock,
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {accepted}")]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    accepted: String,
}

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) namespace: Arc<str>,
    pub(crate) dimensions: Vec<(String, String)>,
    pub(crate) roll_up: Vec<String>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) max_series: usize,
    pub(crate) max_periods: usize,
    pub(crate) clock: Clock,
}

/// What time it is, for timestamps.
pub(crate) type Clock = fn() -> SystemTime;

impl CloudWatchRecorderBuilder {
    pub(crate) fn new() -> Self {
        let roll_up = [table::FAULT, table::CAUSE, table::STATE, table::REASON];
        Self {
            namespace: table::NAMESPACE.to_owned(),
            dimensions: Vec::new(),
            roll_up: roll_up.map(str::to_owned).to_vec(),
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(5),
            max_backoff: Duration::from_secs(60),
            max_series: 32_768,
            max_periods: 15,
            clock: SystemTime::now,
        }
    }

    /// Sets the namespace. Default: `GenAI/Application`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Adds a dimension that every series has, such as the service's name. Default: none.
    ///
    /// Dashboards and alarms name all dimensions of a series: tell them of it too.
    pub fn dimension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.dimensions.push((name.into(), value.into()));
        self
    }

    /// Sets the labels without which counters are sent as well. Default: `Fault`, `Cause`, `State` and `Reason`.
    pub fn roll_up<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.roll_up = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how often data is sent. Default: 60 seconds, CloudWatch's own resolution. A second to an hour.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how long one request may take. Default: 10 seconds. A millisecond to an hour.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long a worker that was told to stop goes on trying. Default: 5 seconds. At most an hour.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets the longest wait between tries while CloudWatch fails. Default: 60 seconds. The first wait is a
    /// second, and each is twice the one before, less up to half at random. A second to an hour.
    pub fn max_backoff(mut self, max: Duration) -> Self {
        self.max_backoff = max;
        self
    }

    /// Sets how many series are recorded, rolled-up ones included; later ones are refused and counted.
    /// Default: 32,768, which is room for all that the layers and policies of this crate can label. 1 to 1,000,000.
    pub fn max_series(mut self, max: usize) -> Self {
        self.max_series = max;
        self
    }

    /// Sets how many periods are kept apart while CloudWatch fails; older ones are merged. Default: 15. 1 to
    /// 1,440.
    pub fn max_periods(mut self, max: usize) -> Self {
        self.max_periods = max;
        self
    }

    /// Sets what tells the time of timestamps, for tests. Default: the system's clock.
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the recorder.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the setting that is out of its range.
    pub fn build(self) -> Result<CloudWatchRecorder, InvalidConfig> {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        const SECOND: Duration = Duration::from_secs(1);
        const MILLISECOND: Duration = Duration::from_millis(1);
        check_namespace(&self.namespace)?;
        check_dimensions(&self.dimensions)?;
        check("interval", self.interval, SECOND..=HOUR)?;
        check("timeout", self.timeout, MILLISECOND..=HOUR)?;
        check(
            "shutdown_timeout",
            self.shutdown_timeout,
            Duration::ZERO..=HOUR,
        )?;
        check("max_backoff", self.max_backoff, SECOND..=HOUR)?;
        check("max_series", self.max_series, 1..=1_000_000)?;
        check("max_periods", self.max_periods, 1..=1_440)?;
        Ok(CloudWatchRecorder::new(Config {
            namespace: self.namespace.into(),
            dimensions: self.dimensions,
            roll_up: self.roll_up,
            interval: self.interval,
            timeout: self.timeout,
            shutdown_timeout: self.shutdown_timeout,
            max_backoff: self.max_backoff,
            max_series: self.max_series,
            max_periods: self.max_periods,
            clock: self.clock,
        }))
    }
}

fn check<T: PartialOrd + fmt::Debug>(
    field: &'static str,
    value: T,
    accepted: RangeInclusive<T>,
) -> Result<(), InvalidConfig> {
    if accepted.contains(&value) {
        return Ok(());
    }
    Err(InvalidConfig {
        field,
        value: format!("{value:?}"),
        accepted: format!("{:?} to {:?}", accepted.start(), accepted.end()),
    })
}

fn check_namespace(namespace: &str) -> Result<(), InvalidConfig> {
    let accepted = |c: char| c.is_ascii_alphanumeric() || "._-/#: ".contains(c);
    let well_formed = (1..=limits::NAME).contains(&namespace.len())
        && namespace.chars().all(accepted)
        && !namespace.trim().is_empty()
        && !namespace.starts_with(':')
        && !namespace.starts_with("AWS/");
    if well_formed {
        return Ok(());
    }
    Err(InvalidConfig {
        field: "namespace",
        value: format!("{namespace:?}"),
        accepted: "1 to 255 letters, digits and any of '._-/#: ', not beginning with ':' or 'AWS/'"
            .to_owned(),
    })
}

fn check_dimensions(dimensions: &[(String, String)]) -> Result<(), InvalidConfig> {
    let invalid = |value: String, accepted: String| {
        Err(InvalidConfig {
            field: "dimensions",
            value,
            accepted,
        })
    };
    if dimensions.len() > limits::DIMENSIONS {
        let accepted = format!("at most {}", limits::DIMENSIONS);
        return invalid(dimensions.len().to_string(), accepted);
    }
    for (name, value) in dimensions {
        if names::dimension_name(name) != *name || names::dimension_value(value) != *value {
            let accepted =
                "printable ASCII: a name of 1 to 255 not beginning with ':', a value of 1 to 1,024";
            return invalid(format!("{name:?} = {value:?}"), accepted.to_owned());
        }
    }
    Ok(())
}
