//! What the recent calls came to, over a sliding window of fixed memory.

mod count;
mod time;

use tokio::time::{Duration, Instant};

use self::{count::CountWindow, time::TimeWindow};

/// Which calls the rates are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlidingWindow {
    /// The last so many calls: 1 to 65,536. Two bytes of memory each, for every key.
    CountBased(u32),
    /// The calls of the last so much time: 1 ms to 365 days. Kept as 32 buckets, so what is counted reaches
    /// back between 31/32 of that time and all of it.
    TimeBased(Duration),
}

/// One call, as the window sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// Calls added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

#[derive(Debug)]
pub(crate) enum Window {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Window {
    pub(crate) fn new(shape: SlidingWindow) -> Self {
        match shape {
            SlidingWindow::CountBased(calls) => Self::Count(CountWindow::new(calls as usize)),
            SlidingWindow::TimeBased(length) => Self::Time(TimeWindow::new(length)),
        }
    }

    /// Adds a call. Only a window over time asks what time it is: reading the clock is the dearest part of
    /// a success.
    #[inline]
    pub(crate) fn add(&mut self, call: Tally, now: impl FnOnce() -> Instant) {
        match self {
            Self::Count(window) => window.add(call),
            Self::Time(window) => window.add(call, now()),
        }
    }

    /// Whether one more success would change nothing. Never so with a window over time, where every call
    /// stays for as long as the window is.
    #[inline]
    pub(crate) fn is_full_of_successes(&self) -> bool {
        match self {
            Self::Count(window) => window.is_full_of_successes(),
            Self::Time(_) => false,
        }
    }

    pub(crate) fn totals(&mut self, now: Instant) -> Totals {
        match self {
            Self::Count(window) => window.totals(),
            Self::Time(window) => window.totals(now),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Count(window) => window.clear(),
            Self::Time(window) => window.clear(),
        }
    }
}

// === impl Totals ===

impl Totals {
    fn add(&mut self, call: Tally) {
        self.calls += 1;
        self.failures += u64::from(call.failed);
        self.slow += u64::from(call.slow);
    }

    fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

impl From<Tally> for Totals {
    fn from(call: Tally) -> Self {
        let mut totals = Self::default();
        totals.add(call);
        totals
    }
}
