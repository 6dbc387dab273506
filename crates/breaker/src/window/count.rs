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

    pub(super) fn add(&mut self, call: Tally) {
        let full = self.totals.calls == self.ring.len() as u64;
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

    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn clear(&mut self) {
        // What is left in the ring is not read before it is written again: the ring fills from the start.
        self.next = 0;
        self.totals = Totals::default();
    }
}
