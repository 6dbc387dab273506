use tokio::time::{Duration, Instant};

use super::{Tally, Totals};

/// How finely a window over time slides.
pub(super) const BUCKETS: usize = 32;

/// The calls of the last so much time, in a ring of buckets.
///
/// The newest bucket fills while the others are complete, so what is counted reaches back between
/// `(BUCKETS - 1) / BUCKETS` of the window and all of it.
#[derive(Debug)]
pub(crate) struct TimeWindow {
    buckets: Box<[Totals; BUCKETS]>,
    /// The bucket that is being filled.
    newest: usize,
    /// When it is full; `None` before the first call.
    newest_ends: Option<Instant>,
    bucket_length: Duration,
    totals: Totals,
}

impl TimeWindow {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            buckets: Box::new([Totals::default(); BUCKETS]),
            newest: 0,
            newest_ends: None,
            // The shortest window accepted is a millisecond, so this isn't zero.
            bucket_length: length / BUCKETS as u32,
            totals: Totals::default(),
        }
    }

    pub(super) fn add(&mut self, call: Tally, now: Instant) {
        self.slide(now);
        self.newest_ends.get_or_insert(now + self.bucket_length);
        self.buckets[self.newest].add(call);
        self.totals.add(call);
    }

    pub(super) fn totals(&mut self, now: Instant) -> Totals {
        self.slide(now);
        self.totals
    }

    pub(super) fn clear(&mut self) {
        self.buckets.fill(Totals::default());
        self.totals = Totals::default();
        self.newest_ends = None;
    }

    /// Drops the buckets that `now` has left behind. A thread that read the clock before another one but
    /// comes later finds nothing to drop, and its call counts as the newest.
    fn slide(&mut self, now: Instant) {
        let Some(late) = self
            .newest_ends
            .and_then(|ends| now.checked_duration_since(ends))
        else {
            return;
        };
        let (late, length) = (late.as_nanos(), self.bucket_length.as_nanos());
        let passed = late / length + 1;
        for _ in 0..passed.min(BUCKETS as u128) {
            self.newest = (self.newest + 1) % BUCKETS;
            self.totals
                .subtract(std::mem::take(&mut self.buckets[self.newest]));
        }
        let into_newest = Duration::from_nanos((late % length) as u64);
        self.newest_ends = Some(now + (self.bucket_length - into_newest));
    }
}
