//! A CloudWatch that refuses whatever the real one would. Its limits are written down anew, not shared with the
//! recorder, and what a request takes is measured by encoding it.

use std::{
    collections::{BTreeMap, HashSet},
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tower_bedrock_cloudwatch::recorder::{Batch, Datum, Sink, SinkError};

/// What CloudWatch keeps of a series: values, and how often there was each, by time.
pub(crate) type Stored = BTreeMap<String, BTreeMap<SystemTime, Vec<(f64, u64)>>>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) stored: Stored,
    pub(crate) requests: usize,
    pub(crate) largest: usize,
    /// What to do with the next requests; then all is well.
    pub(crate) script: Vec<Answer>,
    /// Refused for good, wherever it is.
    pub(crate) poison: Option<&'static str>,
    pub(crate) units: BTreeMap<String, &'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Take,
    Throttle,
    Hang,
}

impl Fake {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    pub(crate) fn throttle(&self, times: usize) {
        self.with(|state| state.script = vec![Answer::Throttle; times]);
    }

    /// All values of a series, whenever they were.
    pub(crate) fn values(&self, series: &str) -> Vec<(f64, u64)> {
        self.with(|state| {
            let times = state
                .stored
                .get(series)
                .into_iter()
                .flat_map(BTreeMap::values);
            times.flatten().copied().collect()
        })
    }

    pub(crate) fn sum(&self, series: &str) -> f64 {
        self.values(series).iter().map(|(v, n)| v * *n as f64).sum()
    }

    pub(crate) fn count(&self, series: &str) -> u64 {
        self.values(series).iter().map(|(_, n)| n).sum()
    }

    /// As CloudWatch answers it: the least value that so much of all samples does not exceed.
    pub(crate) fn percentile(&self, series: &str, percent: f64) -> f64 {
        let mut values = self.values(series);
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let rank = (self.count(series) as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (value, count) in values {
            seen += count;
            if seen >= rank {
                return value;
            }
        }
        f64::NAN
    }
}

/// `name{dimension=value,...}`
pub(crate) fn series(datum: &Datum) -> String {
    let dimensions: Vec<_> = datum
        .dimensions()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    format!("{}{{{}}}", datum.name(), dimensions.join(","))
}

impl Sink for Fake {
    async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let answer = self.with(|state| {
            state.requests += 1;
            let scripted = !state.script.is_empty();
            if scripted {
                state.script.remove(0)
            } else {
                Answer::Take
            }
        });
        match answer {
            Answer::Throttle => return Err(SinkError::Unavailable("Throttling".to_owned())),
            Answer::Hang => pending().await,
            Answer::Take => {}
        }
        let bytes = check(batch).unwrap_or_else(|violation| panic!("{violation}"));
        self.with(|state| {
            state.largest = state.largest.max(bytes);
            if let Some(poison) = state.poison
                && batch.data().iter().any(|datum| datum.name() == poison)
            {
                return Err(SinkError::Rejected("InvalidParameterValue".to_owned()));
            }
            for datum in batch.data() {
                state.units.insert(datum.name().to_owned(), datum.unit());
                let times = state.stored.entry(series(datum)).or_default();
                let values = times.entry(datum.timestamp()).or_default();
                values.extend(datum.values());
            }
            Ok(())
        })
    }
}

/// What CloudWatch would say: what the request takes, or what is wrong with it.
fn check(batch: &Batch) -> Result<usize, String> {
    let namespace = batch.namespace();
    require(
        (1..=255).contains(&namespace.len()),
        "namespace's length",
        namespace,
    )?;
    require(!namespace.starts_with("AWS/"), "namespace", namespace)?;
    require(
        (1..=1_000).contains(&batch.data().len()),
        "data",
        batch.data().len(),
    )?;
    let mut bytes = 8 + text("Namespace") + text(namespace) + text("MetricData");
    for datum in batch.data() {
        bytes += check_datum(datum)?;
    }
    require(bytes <= 1_000_000, "bytes", bytes)?;
    Ok(bytes)
}

fn check_datum(datum: &Datum) -> Result<usize, String> {
    let age = super::now().duration_since(datum.timestamp());
    let early = datum.timestamp().duration_since(super::now());
    require(
        age.is_ok_and(|age| age < Duration::from_secs(14 * 86_400))
            || early.is_ok_and(|early| early < Duration::from_secs(7_200)),
        "timestamp",
        format!("{:?}", datum.timestamp()),
    )?;
    check_text("metric name", datum.name(), 255)?;
    require(UNITS.contains(&datum.unit()), "unit", datum.unit())?;
    require(
        datum.dimensions().len() <= 30,
        "dimensions",
        datum.dimensions().len(),
    )?;
    let mut bytes = 2 + text("MetricName") + text(datum.name()) + text("Unit") + text(datum.unit());
    bytes += text("Timestamp") + 10 + text("Dimensions") + text("Values") + text("Counts") + 9;
    let mut names = HashSet::new();
    for (name, value) in datum.dimensions() {
        check_text("dimension name", name, 255)?;
        check_text("dimension value", value, 1_024)?;
        require(!name.starts_with(':'), "dimension name", name)?;
        require(names.insert(name), "dimension twice", name)?;
        bytes += 1 + text("Name") + text(name) + text("Value") + text(value);
    }
    require(
        (1..=150).contains(&datum.values().len()),
        "values",
        datum.values().len(),
    )?;
    let mut values = HashSet::new();
    for (value, count) in datum.values() {
        require(
            value.is_finite() && value.abs() <= 2f64.powi(360),
            "value",
            value,
        )?;
        require(*count > 0, "count", count)?;
        require(values.insert(value.to_bits()), "value twice", value)?;
        bytes += 9 + 9;
    }
    Ok(bytes)
}

fn check_text(what: &str, text: &str, max: usize) -> Result<(), String> {
    let printable = text.chars().all(|c| (' '..='~').contains(&c));
    let blank = text.trim().is_empty();
    require(
        (1..=max).contains(&text.len()) && printable && !blank,
        what,
        text,
    )
}

fn require(holds: bool, what: &str, value: impl std::fmt::Display) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("{what}: {value}"))
    }
}

/// What a text takes in CBOR.
fn text(text: &str) -> usize {
    let length = match text.len() {
        0..24 => 1,
        24..256 => 2,
        _ => 3,
    };
    length + text.len()
}

const UNITS: &[&str] = &[
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];
