use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of what was recorded, since the recorder was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that the sink took.
    pub requests: u64,
    /// Requests that failed, whether or not what was in them was sent later.
    pub failed_requests: u64,
    /// Data sent: one for each series and period, or for every 150 different values of a histogram.
    pub data_sent: u64,
    /// Data lost: refused by CloudWatch for good, too old to be accepted, or left when the worker had to stop.
    pub data_lost: u64,
    /// Registrations turned away because there were
    /// [`max_series`](super::CloudWatchRecorderBuilder::max_series) already.
    pub series_refused: u64,
    /// Values turned away because CloudWatch or a histogram cannot hold them.
    pub values_refused: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: AtomicU64,
    failed_requests: AtomicU64,
    data_sent: AtomicU64,
    data_lost: AtomicU64,
    series_refused: AtomicU64,
    values_refused: AtomicU64,
}

impl Counts {
    pub(crate) fn sent(&self, data: usize) {
        self.requests.fetch_add(1, Relaxed);
        self.data_sent.fetch_add(data as u64, Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed_requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn lost(&self, data: usize) {
        self.data_lost.fetch_add(data as u64, Relaxed);
    }

    /// Answers whether it was the first.
    pub(crate) fn series_refused(&self) -> bool {
        self.series_refused.fetch_add(1, Relaxed) == 0
    }

    pub(crate) fn value_refused(&self, count: u64) {
        self.values_refused.fetch_add(count, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            failed_requests: self.failed_requests.load(Relaxed),
            data_sent: self.data_sent.load(Relaxed),
            data_lost: self.data_lost.load(Relaxed),
            series_refused: self.series_refused.load(Relaxed),
            values_refused: self.values_refused.load(Relaxed),
        }
    }
}
