use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use super::{Batch, Datum, Sink, SinkError};

/// Writes data as a log in CloudWatch's embedded metric format (EMF), one JSON document a line: to the standard
/// output in Lambda, or to whatever the CloudWatch agent or FireLens reads.
///
/// ```
/// use tower_bedrock_cloudwatch::recorder::{CloudWatchRecorder, EmfSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let recorder = CloudWatchRecorder::builder().build()?;
/// let mut worker = recorder.worker(EmfSink::new(Vec::new()));
///
/// metrics::with_local_recorder(&recorder, || metrics::counter!("Orders").increment(2));
/// // In Lambda, at the end of each invocation: afterwards the process is frozen.
/// worker.flush().await?;
///
/// let line: serde_json::Value = serde_json::from_slice(worker.get_ref().get_ref())?;
/// assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "GenAI/Application");
/// assert_eq!(line["Orders"], 2.0);
/// # Ok(())
/// # }
/// ```
///
/// A write blocks the task, as printing does. A batch whose write failed is written again, whole: its lines come at
/// least once, and where the writer had taken a part, one of them is torn.
///
/// Source: AWS, *Embedded metric format specification*: 100 metrics a directive, 100 values a metric, 30
/// dimensions a set, 1 MB an event, as of November 2026.
#[derive(Clone, Debug)]
pub struct EmfSink<W> {
    writer: W,
    histograms: Histograms,
}

/// How a histogram is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Histograms {
    /// Each value as often as there was one, as AWS documents it: an event for every hundred samples. A datum
    /// of more than a thousand samples is written as values and counts all the same.
    #[default]
    Repeated,
    /// Values and counts, as the CloudWatch agent and OpenTelemetry's EMF exporter write them. CloudWatch takes
    /// this although its specification does not tell of it.
    ValuesAndCounts,
}

/// The member that describes the others.
const ENVELOPE: &str = "_aws";
const MAX_METRICS: usize = 100;
const MAX_VALUES: usize = 100;
/// What memory and logs are to hold of one datum.
const MAX_REPEATED: u64 = 1_000;
/// Below 1 MB, with what an event takes besides its metrics: thirty of the longest dimensions.
const MAX_BYTES: usize = 900_000;

impl<W> EmfSink<W> {
    /// Writes to `writer`, histograms as AWS documents them.
    pub const fn new(writer: W) -> Self {
        Self {
            writer,
            histograms: Histograms::Repeated,
        }
    }

    /// Sets how histograms are written.
    #[must_use]
    pub const fn with_histograms(mut self, histograms: Histograms) -> Self {
        self.histograms = histograms;
        self
    }

    /// What is written to.
    pub const fn get_ref(&self) -> &W {
        &self.writer
    }

    /// What is written to, to be changed.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// What is written to, alone.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write + Send> Sink for EmfSink<W> {
    async fn put(&mut self, batch: &Batch) -> Result<(), SinkError> {
        // In one write, of which most writers take all or nothing.
        let mut lines = Vec::new();
        for event in events(batch, self.histograms) {
            lines.extend(event.into_line());
        }
        let written = self.writer.write_all(&lines);
        written
            .and_then(|()| self.writer.flush())
            .map_err(|error| SinkError::Unavailable(error.to_string()))
    }
}

/// One log event: metrics of the same dimensions and time.
struct Event {
    document: Map<String, Value>,
    namespace: String,
    timestamp: u64,
    dimensions: Vec<String>,
    metrics: BTreeSet<(String, &'static str)>,
    bytes: usize,
}

fn events(batch: &Batch, histograms: Histograms) -> Vec<Event> {
    let mut groups = BTreeMap::<_, Vec<&Datum>>::new();
    for datum in batch.data() {
        let dimensions: Vec<_> = datum.dimensions().collect();
        groups
            .entry((milliseconds(datum.timestamp()), dimensions))
            .or_default()
            .push(datum);
    }
    let mut events = Vec::new();
    for ((timestamp, dimensions), data) in groups {
        let others = |own: &str, name: &str| own != name && dimensions.iter().any(|d| d.0 == name);
        let dimensions: Vec<_> = dimensions
            .iter()
            .map(|(own, value)| (member(own, |name| others(own, name)), *value))
            .collect();
        let new = || Event::new(batch.namespace(), timestamp, &dimensions);
        // A metric can be in an event once: each part of it goes into the first event that has room.
        let mut open: Vec<Event> = Vec::new();
        for datum in data {
            let name = member(datum.name(), |name| dimensions.iter().any(|d| d.0 == name));
            for value in values(datum, histograms) {
                let place = open.iter().position(|event| event.has_room(&name, &value));
                let place = place.unwrap_or_else(|| {
                    open.push(new());
                    open.len() - 1
                });
                open[place].add(&name, datum.unit(), value);
            }
        }
        events.append(&mut open);
    }
    events
}

/// What a metric or a dimension is called in a document, which has one member of a name.
fn member<'a>(name: &'a str, is_taken: impl Fn(&str) -> bool) -> Cow<'a, str> {
    let mut member = Cow::Borrowed(name);
    while member == ENVELOPE || is_taken(&member) {
        member.to_mut().push('_');
    }
    member
}

impl Event {
    fn new(namespace: &str, timestamp: u64, dimensions: &[(Cow<'_, str>, &str)]) -> Self {
        let document = dimensions
            .iter()
            .map(|(name, value)| (name.to_string(), Value::from(*value)))
            .collect();
        Self {
            document,
            namespace: namespace.to_owned(),
            timestamp,
            dimensions: dimensions
                .iter()
                .map(|(name, _)| name.to_string())
                .collect(),
            metrics: BTreeSet::new(),
            bytes: 0,
        }
    }

    fn has_room(&self, metric: &str, value: &Value) -> bool {
        !self.document.contains_key(metric)
            && self.metrics.len() < MAX_METRICS
            && self.bytes + bytes(metric, value) <= MAX_BYTES
    }

    fn add(&mut self, name: &str, unit: &'static str, value: Value) {
        self.bytes += bytes(name, &value);
        self.document.insert(name.to_owned(), value);
        self.metrics.insert((name.to_owned(), unit));
    }

    fn into_line(mut self) -> Vec<u8> {
        let metrics: Vec<_> = self
            .metrics
            .iter()
            .map(|(name, unit)| json!({"Name": name, "Unit": unit}))
            .collect();
        self.document.insert(
            ENVELOPE.to_owned(),
            json!({
                "Timestamp": self.timestamp,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": [self.dimensions],
                    "Metrics": metrics,
                }],
            }),
        );
        let mut line = Value::Object(self.document).to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

/// At most what a metric takes: its name twice, its unit, its value.
fn bytes(metric: &str, value: &Value) -> usize {
    const DIRECTIVE: usize = 64;
    const NUMBER: usize = 26;
    let numbers = match value {
        Value::Array(values) => values.len(),
        Value::Object(_) => 2 * MAX_VALUES + 6,
        _ => 1,
    };
    2 * metric.len() + DIRECTIVE + NUMBER * numbers
}

/// What a datum's member of the document says; several where one cannot hold it.
fn values(datum: &Datum, histograms: Histograms) -> Vec<Value> {
    let samples = datum
        .values()
        .iter()
        .fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
    match (datum.values(), histograms) {
        ([(value, 1)], _) => vec![json!(value)],
        (values, Histograms::Repeated) if samples <= MAX_REPEATED => {
            let mut repeated = values
                .iter()
                .flat_map(|(value, count)| (0..*count).map(|_| *value))
                .peekable();
            let mut chunks = Vec::new();
            while repeated.peek().is_some() {
                let chunk: Vec<_> = repeated.by_ref().take(MAX_VALUES).collect();
                chunks.push(json!(chunk));
            }
            chunks
        }
        // A datum may have more different values than an event of this format.
        (values, _) => values.chunks(MAX_VALUES).map(values_and_counts).collect(),
    }
}

#[allow(clippy::cast_precision_loss)]
fn values_and_counts(values: &[(f64, u64)]) -> Value {
    let numbers = || values.iter().map(|(value, _)| *value);
    let sum: f64 = values.iter().map(|(value, n)| value * *n as f64).sum();
    json!({
        "Values": numbers().collect::<Vec<_>>(),
        "Counts": values.iter().map(|(_, count)| *count).collect::<Vec<_>>(),
        "Max": numbers().fold(f64::NEG_INFINITY, f64::max),
        "Min": numbers().fold(f64::INFINITY, f64::min),
        "Count": values.iter().map(|(_, count)| *count).sum::<u64>(),
        "Sum": sum,
    })
}

fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
