use crate::{estimate::Quantile, time::Time};

/// How long answers take on one key: what a call's deadline must leave when its wait is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptTime {
    median: Quantile,
    answers: u64,
}

/// Before so many are known one slow answer could turn everybody away.
const ENOUGH: u64 = 8;

/// After the first ones, one answer in so many is timed: the clock costs as much as all the rest of an end.
const SAMPLED: u64 = 16;

impl AttemptTime {
    pub(crate) const fn new() -> Self {
        Self {
            median: Quantile::new(0.5),
            answers: 0,
        }
    }

    /// Whether the next answer is timed.
    pub(crate) const fn is_due(&self) -> bool {
        self.answers < ENOUGH || self.answers.is_multiple_of(SAMPLED)
    }

    /// An answer has ended; where it is timed, at `now`.
    pub(crate) fn answered(&mut self, sent: Time, now: Time) {
        if self.is_due() {
            self.median.add(now.since(sent) as f64);
        }
        self.answers += 1;
    }

    /// What half of the answers take no longer than, in nanoseconds; zero while too few are known.
    pub(crate) fn usual(&self) -> u64 {
        if self.answers < ENOUGH {
            return 0;
        }
        // `as` saturates.
        self.median.value() as u64
    }
}
