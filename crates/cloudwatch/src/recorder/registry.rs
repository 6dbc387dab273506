use std::{collections::HashMap, fmt, sync::Arc, time::SystemTime};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::{Mutex, RwLock};

use super::{
    CloudWatchRecorderBuilder, Sink, Stats, Worker,
    accumulated::Accumulated,
    builder::Config,
    cells::{CounterCell, GaugeCell, HistogramCell},
    pending::Gathered,
    stats::Counts,
    unit,
};
use crate::names::Series;

/// A [`metrics::Recorder`] that aggregates for CloudWatch. See the [module's documentation](super).
///
/// # Cost
///
/// Recording through a handle is one atomic operation and allocates nothing, nor does looking a handle up that
/// exists. A histogram takes 17 kB.
///
/// # Clone
///
/// Clones share everything.
#[derive(Clone)]
pub struct CloudWatchRecorder {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    counts: Arc<Counts>,
    units: RwLock<HashMap<String, Unit>>,
    /// Taken after one of the tables where both are.
    series: Mutex<SeriesTable>,
    counters: Table<CounterCell>,
    gauges: Table<GaugeCell>,
    histograms: Table<HistogramCell>,
    /// Held while what was gathered is taken out: what a counter grew by is read in two steps.
    draining: Mutex<()>,
}

/// Cells by key, whose hash is of one number: it brings its own along.
type Table<C> = RwLock<HashMap<Key, Entry<C>>>;

struct Entry<C> {
    cell: Arc<C>,
    series: Numbered,
    /// The same without the labels that are rolled up.
    rolled_up: Option<Numbered>,
}

/// A series and its number. Keys that CloudWatch cannot tell apart have the same.
#[derive(Clone)]
struct Numbered {
    number: usize,
    series: Arc<Series>,
}

#[derive(Default)]
struct SeriesTable {
    numbers: HashMap<(Kind, Arc<Series>), usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl CloudWatchRecorder {
    /// Builds a recorder.
    pub fn builder() -> CloudWatchRecorderBuilder {
        CloudWatchRecorderBuilder::new()
    }

    pub(crate) fn new(config: Config) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                counts: Arc::default(),
                units: RwLock::default(),
                series: Mutex::default(),
                counters: Table::default(),
                gauges: Table::default(),
                histograms: Table::default(),
                draining: Mutex::default(),
            }),
        }
    }

    /// What takes everything recorded to a sink. Nothing is sent unless it runs.
    ///
    /// Each datum goes to one worker: a recorder with two has its data in two places.
    pub fn worker<S: Sink>(&self, sink: S) -> Worker<S> {
        Worker::new(self.clone(), sink)
    }

    /// What became of what was recorded.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counts.snapshot()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.shared.config.clock)()
    }

    /// Takes out what was gathered since the last time.
    pub(crate) fn drain(&self) -> Vec<(usize, Gathered)> {
        let shared = &*self.shared;
        let _draining = shared.draining.lock();
        let mut gathered = Vec::new();
        let units = shared.units.read();
        let mut gather = |key: &Key, numbered: &Numbered, accumulated| {
            let (unit, scale) = unit::of(units.get(key.name()).copied());
            let series = Arc::clone(&numbered.series);
            let entry = Gathered {
                series,
                unit,
                scale,
                accumulated,
            };
            gathered.push((numbered.number, entry));
        };
        each(&shared.counters, CounterCell::drain, &mut gather);
        each(&shared.gauges, |g| g.drain(&shared.counts), &mut gather);
        each(&shared.histograms, HistogramCell::drain, &mut gather);
        gathered
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>) {
        let Some(unit) = unit else { return };
        let mut units = self.shared.units.write();
        if units.len() < self.shared.config.max_series {
            units.insert(name.as_str().to_owned(), unit);
        }
    }

    /// The cell of a key, made where there is none yet; `None` where there are too many.
    fn cell<C>(
        &self,
        table: &Table<C>,
        kind: Kind,
        key: &Key,
        new: impl FnOnce() -> C,
    ) -> Option<Arc<C>> {
        if let Some(entry) = table.read().get(key) {
            return Some(Arc::clone(&entry.cell));
        }
        self.add(table, kind, key, new)
    }

    #[cold]
    fn add<C>(
        &self,
        table: &Table<C>,
        kind: Kind,
        key: &Key,
        new: impl FnOnce() -> C,
    ) -> Option<Arc<C>> {
        let Config {
            dimensions,
            roll_up,
            max_series,
            ..
        } = &self.shared.config;
        let mut cells = table.write();
        if let Some(entry) = cells.get(key) {
            return Some(Arc::clone(&entry.cell));
        }
        // Each key takes a place too: many of them can amount to one series.
        let numbered = (cells.len() < *max_series).then(|| {
            let series = Series::new(key, dimensions);
            // Only sums add up.
            let rolled_up = (kind == Kind::Counter).then(|| series.without(roll_up));
            let mut table = self.shared.series.lock();
            table.number(kind, series, rolled_up.flatten(), *max_series)
        });
        let Some((series, rolled_up)) = numbered.flatten() else {
            drop(cells);
            self.refuse(key);
            return None;
        };
        let cell = Arc::new(new());
        let entry = Entry {
            cell: Arc::clone(&cell),
            series,
            rolled_up,
        };
        cells.insert(key.clone(), entry);
        Some(cell)
    }

    fn refuse(&self, key: &Key) {
        if self.shared.counts.series_refused() {
            tracing::warn!(
                metric = key.name(),
                max_series = self.shared.config.max_series,
                "too many series for CloudWatch: this one and later ones are not recorded"
            );
        }
    }
}

/// Drains the cells of one kind.
fn each<C>(
    table: &Table<C>,
    drain: impl Fn(&C) -> Option<Accumulated>,
    gather: &mut impl FnMut(&Key, &Numbered, Accumulated),
) {
    for (key, entry) in &*table.read() {
        if let Some(accumulated) = drain(&entry.cell) {
            if let Some(rolled_up) = &entry.rolled_up {
                gather(key, rolled_up, accumulated.clone());
            }
            gather(key, &entry.series, accumulated);
        }
    }
}

impl SeriesTable {
    /// Numbers a series and the one it is rolled up to; `None` where there would be too many.
    fn number(
        &mut self,
        kind: Kind,
        series: Series,
        rolled_up: Option<Series>,
        max: usize,
    ) -> Option<(Numbered, Option<Numbered>)> {
        let series = (kind, Arc::new(series));
        let rolled_up = rolled_up.map(|series| (kind, Arc::new(series)));
        let new = [Some(&series), rolled_up.as_ref()]
            .into_iter()
            .flatten()
            .filter(|series| !self.numbers.contains_key(*series))
            .count();
        if self.numbers.len() + new > max {
            return None;
        }
        Some((self.number_of(series), rolled_up.map(|s| self.number_of(s))))
    }

    fn number_of(&mut self, series: (Kind, Arc<Series>)) -> Numbered {
        let next = self.numbers.len();
        let numbered = Arc::clone(&series.1);
        let number = *self.numbers.entry(series).or_insert(next);
        Numbered {
            number,
            series: numbered,
        }
    }
}

impl Recorder for CloudWatchRecorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let cells = &self.shared.counters;
        self.cell(cells, Kind::Counter, key, CounterCell::default)
            .map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let cells = &self.shared.gauges;
        self.cell(cells, Kind::Gauge, key, GaugeCell::default)
            .map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let new = || HistogramCell::new(Arc::clone(&self.shared.counts));
        self.cell(&self.shared.histograms, Kind::Histogram, key, new)
            .map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

impl fmt::Debug for CloudWatchRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudWatchRecorder")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
