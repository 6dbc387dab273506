//! What handles record into. Recording is one atomic operation (a gauge's increment may take more).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use metrics::{CounterFn, GaugeFn, HistogramFn};

use super::{
    accumulated::Accumulated,
    buckets::{self, BUCKETS},
    stats::Counts,
};
use crate::limits;

/// A counter. It never goes back; what was sent of it is remembered beside it.
#[derive(Debug, Default)]
pub(crate) struct CounterCell {
    value: AtomicU64,
    sent: AtomicU64,
}

/// A gauge, as the bits of its value.
#[derive(Debug)]
pub(crate) struct GaugeCell(AtomicU64);

/// A histogram.
pub(crate) struct HistogramCell {
    buckets: Box<[AtomicU64]>,
    counts: Arc<Counts>,
}

/// The bits of a gauge that was never set: a NaN that no arithmetic yields.
const UNSET: u64 = u64::MAX;

impl CounterCell {
    /// What it grew by since the last time.
    pub(crate) fn drain(&self) -> Option<Accumulated> {
        let value = self.value.load(Relaxed);
        let grown = value.wrapping_sub(self.sent.swap(value, Relaxed));
        // CloudWatch's numbers are doubles.
        #[allow(clippy::cast_precision_loss)]
        let sum = grown as f64;
        (grown > 0).then_some(Accumulated::Sum(sum))
    }
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.value.fetch_add(value, Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.value.fetch_max(value, Relaxed);
    }
}

impl GaugeCell {
    pub(crate) fn drain(&self, counts: &Counts) -> Option<Accumulated> {
        let bits = self.0.load(Relaxed);
        if bits == UNSET {
            return None;
        }
        let value = f64::from_bits(bits);
        if !(-limits::MAX_VALUE..=limits::MAX_VALUE).contains(&value) {
            counts.value_refused(1);
            return None;
        }
        Some(Accumulated::Values(vec![(value, 1)]))
    }

    fn add(&self, change: f64) {
        let add = |bits| {
            let value = if bits == UNSET {
                0.0
            } else {
                f64::from_bits(bits)
            };
            Some((value + change).to_bits())
        };
        // The closure never declines.
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }
}

impl Default for GaugeCell {
    fn default() -> Self {
        Self(AtomicU64::new(UNSET))
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

impl HistogramCell {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            counts,
        }
    }

    pub(crate) fn drain(&self) -> Option<Accumulated> {
        let samples: Vec<_> = (0u16..)
            .zip(&self.buckets)
            // Most are empty, and a look is cheaper than a swap.
            .filter(|(_, count)| count.load(Relaxed) > 0)
            .map(|(index, count)| (index, count.swap(0, Relaxed)))
            .collect();
        (!samples.is_empty()).then_some(Accumulated::Samples(samples))
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        match buckets::index(value) {
            Some(index) => {
                self.buckets[index].fetch_add(count as u64, Relaxed);
            }
            None => self.counts.value_refused(count as u64),
        }
    }
}

impl fmt::Debug for HistogramCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistogramCell").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_answers_what_it_grew_by() {
        let counter = CounterCell::default();
        assert_eq!(counter.drain(), None);
        counter.increment(3);
        counter.absolute(10);
        counter.absolute(7);
        assert_eq!(counter.drain(), Some(Accumulated::Sum(10.0)));
        assert_eq!(counter.drain(), None);
        counter.increment(1);
        assert_eq!(counter.drain(), Some(Accumulated::Sum(1.0)));
    }

    #[test]
    fn a_gauge_answers_as_it_stands_once_it_was_set() {
        let (gauge, counts) = (GaugeCell::default(), Counts::default());
        assert_eq!(gauge.drain(&counts), None);
        gauge.increment(2.0);
        gauge.decrement(0.5);
        let stands = Some(Accumulated::Values(vec![(1.5, 1)]));
        assert_eq!(gauge.drain(&counts), stands);
        assert_eq!(gauge.drain(&counts), stands);
        gauge.set(f64::NAN);
        assert_eq!(gauge.drain(&counts), None);
        assert_eq!(counts.snapshot().values_refused, 1);
    }

    #[test]
    fn a_histogram_is_empty_after_it_was_asked() {
        let counts = Arc::<Counts>::default();
        let histogram = HistogramCell::new(Arc::clone(&counts));
        histogram.record_many(1.0, 5);
        histogram.record(f64::NAN);
        let Some(Accumulated::Samples(samples)) = histogram.drain() else {
            panic!("expected samples");
        };
        let [(index, 5)] = samples[..] else {
            panic!("expected five values in one bucket: {samples:?}");
        };
        assert_eq!(buckets::value(index.into()), 1.0);
        assert_eq!(histogram.drain(), None);
        assert_eq!(counts.snapshot().values_refused, 1);
    }
}
