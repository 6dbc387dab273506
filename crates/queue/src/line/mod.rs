//! Which message goes next: a state machine of leases that knows neither bodies nor storage.

use std::collections::{BTreeSet, HashMap};

use tokio::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// A message's place in the order it was sent.
pub(crate) type Id = u64;

/// The line of one queue. Messages that were never received are the storage's; it keeps only those that were, so
/// that its size is that of the work under way and of what waits to be tried again.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The first message that was never received.
    fresh: Id,
    /// Those given back, by the time from which they may be received.
    returned: BTreeSet<(Instant, Id)>,
    leases: HashMap<Id, Lease>,
    /// The leases by the time they run out.
    expiries: BTreeSet<(Instant, Id)>,
    receipts: u64,
}

/// What a delivery is settled by, and what the holder of an older lease of the same message is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalReceipt {
    pub(crate) id: Id,
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    number: u64,
    until: Instant,
}

/// The lease ran out and somebody else has the message, or it was settled already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease ran out, or the message was settled already")]
pub struct LeaseLost;

impl Line {
    /// Leases the next message: one whose time has come, the earliest first, else a new one. `next` tells the
    /// first message of the storage at or after a place.
    pub(crate) fn take<E>(
        &mut self,
        now: Instant,
        visibility: Duration,
        next: impl FnOnce(Id) -> Result<Option<Id>, E>,
    ) -> Result<Option<LocalReceipt>, E> {
        self.expire(now);
        let id = match self.returned.first() {
            Some(&(from, id)) if from <= now => {
                self.returned.pop_first();
                id
            }
            _ => match next(self.fresh)? {
                Some(id) => {
                    self.fresh = id + 1;
                    id
                }
                None => return Ok(None),
            },
        };
        self.receipts += 1;
        let number = self.receipts;
        self.lease(id, number, now, visibility);
        Ok(Some(LocalReceipt { id, number }))
    }

    /// Has a lease run out `visibility` from now. One that has run out already is good until another takes it.
    pub(crate) fn extend(
        &mut self,
        receipt: LocalReceipt,
        now: Instant,
        visibility: Duration,
    ) -> Result<(), LeaseLost> {
        self.end(receipt)?;
        self.lease(receipt.id, receipt.number, now, visibility);
        Ok(())
    }

    /// Whether a lease is good.
    #[cfg(feature = "embedded")]
    pub(crate) fn check(&self, receipt: LocalReceipt) -> Result<(), LeaseLost> {
        let lease = self.leases.get(&receipt.id);
        let good = lease.is_some_and(|lease| lease.number == receipt.number);
        if good { Ok(()) } else { Err(LeaseLost) }
    }

    /// Whether there may be a message to take, of those sent up to a place.
    #[cfg(feature = "embedded")]
    pub(crate) fn is_ready(&self, now: Instant, end: Id) -> bool {
        self.fresh < end || self.next_change().is_some_and(|at| at <= now)
    }

    /// Leaves out the places up to one, which are empty.
    #[cfg(feature = "embedded")]
    pub(crate) fn skip_to(&mut self, end: Id) {
        self.fresh = self.fresh.max(end);
    }

    /// Ends a lease: what is to become of the message is for the holder to say.
    pub(crate) fn end(&mut self, receipt: LocalReceipt) -> Result<(), LeaseLost> {
        match self.leases.get(&receipt.id) {
            Some(lease) if lease.number == receipt.number => {
                self.expiries.remove(&(lease.until, receipt.id));
                self.leases.remove(&receipt.id);
                Ok(())
            }
            _ => Err(LeaseLost),
        }
    }

    /// Has a message be received again `after` that long.
    pub(crate) fn give_back(
        &mut self,
        receipt: LocalReceipt,
        now: Instant,
        after: Duration,
    ) -> Result<(), LeaseLost> {
        self.end(receipt)?;
        self.returned.insert((later(now, after), receipt.id));
        Ok(())
    }

    /// When something changes by itself: a lease runs out, or a message's time comes.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let times = [self.returned.first(), self.expiries.first()];
        times.into_iter().flatten().map(|(at, _)| *at).min()
    }

    fn lease(&mut self, id: Id, number: u64, now: Instant, visibility: Duration) {
        let until = later(now, visibility);
        self.leases.insert(id, Lease { number, until });
        self.expiries.insert((until, id));
    }

    /// A message whose lease ran out takes its turn from when it did.
    fn expire(&mut self, now: Instant) {
        while let Some(&(until, id)) = self.expiries.first() {
            if until > now {
                break;
            }
            self.expiries.pop_first();
            self.leases.remove(&id);
            self.returned.insert((until, id));
        }
    }
}

/// A time that far from now, or as far as can be told: a caller's `Duration::MAX` is a century here.
fn later(now: Instant, after: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
    now + after.min(CENTURY)
}
