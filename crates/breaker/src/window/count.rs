use super::{Tally, Totals};

/// The last so many calls, in a ring.
#[derive(Debug)]
pub(crate) struct CountWindow {
    ring: Box<[Tally]>,
    /// The oldest call once the ring is full, and the next place to write always.
    next: usize,
    totals: Totals,
}

impl CountWindow {
    pub(super) fn new(size: usize) -> Self {
        Self {
            ring: vec![Tally::default(); size].into(),
            next: 0,
            totals: Totals::default(),
        }
    }

    #[inline]
    pub(super) fn add(&mut self, call: Tally) {
        let full = self.is_full();
        let oldest = std::mem::replace(&mut self.ring[self.next], call);
        if full {
            self.totals.subtract(oldest.into());
        }
        self.totals.add(call);
        self.next += 1;
        if self.next == self.ring.len() {
            self.next = 0;
        }
    }

    #[inline]
    pub(super) const fn is_full_of_successes(&self) -> bool {
        self.is_full() && self.totals.failures == 0 && self.totals.slow == 0
    }

    #[inline]
    const fn is_full(&self) -> bool {
        self.totals.calls == self.ring.len() as u64
    }

    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn clear(&mut self) {
        // What is left in the ring is not read before it is written again: the ring fills from the start.
        self.next = 0;
        self.totals = Totals::default();
    }
}
