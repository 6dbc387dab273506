//! The recorder against a CloudWatch that enforces every limit, fails and hangs.

#![allow(clippy::unwrap_used)]

mod emf;
mod failures;
mod fake;
mod values;

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

use metrics::{Key, Label, Metadata, Recorder};
use tokio::time::Instant;
use tower_bedrock_cloudwatch::recorder::{CloudWatchRecorder, CloudWatchRecorderBuilder};

thread_local! {
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A day in 2026, and what has passed of the test since it first asked.
pub(crate) fn now() -> SystemTime {
    let now = Instant::now();
    let start = START.get().unwrap_or(now);
    START.set(Some(start));
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000) + (now - start)
}

fn builder() -> CloudWatchRecorderBuilder {
    CloudWatchRecorder::builder().clock(now)
}

static METADATA: Metadata<'static> = Metadata::new("test", metrics::Level::INFO, None);

fn key(name: &str, labels: &[(&str, &str)]) -> Key {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| Label::new((*name).to_owned(), (*value).to_owned()))
        .collect();
    Key::from_parts(name.to_owned(), labels)
}

fn count(recorder: &CloudWatchRecorder, name: &str, labels: &[(&str, &str)], by: u64) {
    let counter = recorder.register_counter(&key(name, labels), &METADATA);
    counter.increment(by);
}

fn sample(recorder: &CloudWatchRecorder, name: &str, labels: &[(&str, &str)], value: f64) {
    let histogram = recorder.register_histogram(&key(name, labels), &METADATA);
    histogram.record(value);
}
