//! The shapes a limit's window can have, each in constant memory.

mod bucket;
mod fixed;
mod sliding;
#[cfg(test)]
mod tests;

pub(crate) use self::{bucket::Bucket, fixed::Fixed, sliding::Sliding};
use crate::time::Time;

/// The shape of the window that a limit is counted over. AWS does not document Bedrock's.
///
/// [`Sliding`](Self::Sliding) is safe against all three: what never exceeds the limit in any sixty seconds
/// does not exceed it in sixty particular ones either, nor does it overfill a bucket of the limit's size
/// that drains a limit a minute. Choose another only where you know that Bedrock counts so.
///
/// The safety costs no quota, but some patience: what went in a burst leaves the window in a burst a minute
/// later, so that those who wait wait together. With a bucket mirrored as a [`Bucket`](Self::Bucket), the
/// longest waits of clients that never stop are a third shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Window {
    /// Never above the limit in any period (sixty seconds; a day for tokens a day). The default.
    #[default]
    Sliding,
    /// Never above the limit in one cycle; cycles follow one another from the limiter's start. Up to twice
    /// the limit can be used around the turn of a cycle.
    Fixed,
    /// A bucket as large as the limit, refilled without pause. Up to twice the limit can be used in the
    /// period after an idle one.
    Bucket,
}

/// What is in use of one limit.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    shape: Shape,
    /// What calls have reserved that were let through and are not sent yet. It counts for as long as that
    /// lasts: when it is sent, it counts for a period from then.
    held: u64,
}

#[derive(Clone, Debug)]
enum Shape {
    Sliding(Sliding),
    Fixed(Fixed),
    Bucket(Bucket),
}

impl Tally {
    /// Of two uses the service may hear of the first by `delay` nanoseconds later than of the second: it counts for
    /// so much longer. A fixed cycle does not turn with the service's to that exactness in any case.
    pub(crate) fn new(window: Window, period: u64, delay: u64) -> Self {
        Self {
            shape: match window {
                Window::Sliding => Shape::Sliding(Sliding::new(period.saturating_add(delay))),
                Window::Fixed => Shape::Fixed(Fixed::new(period)),
                Window::Bucket => Shape::Bucket(Bucket::new(period, delay)),
            },
            held: 0,
        }
    }

    pub(crate) const fn window(&self) -> Window {
        match self.shape {
            Shape::Sliding(_) => Window::Sliding,
            Shape::Fixed(_) => Window::Fixed,
            Shape::Bucket(_) => Window::Bucket,
        }
    }

    /// Brings the tally up to `now`. Everything else assumes that this has been done.
    #[inline]
    pub(crate) fn advance(&mut self, now: Time, limit: u64) {
        let free = limit.saturating_sub(self.held);
        match &mut self.shape {
            Shape::Sliding(tally) => tally.advance(now, free),
            Shape::Fixed(tally) => tally.advance(now, free),
            Shape::Bucket(tally) => tally.advance(now, limit),
        }
    }

    /// What is in use of the limit, at most all of it.
    #[inline]
    pub(crate) fn used(&self, limit: u64) -> u64 {
        let used = match &self.shape {
            Shape::Sliding(tally) => tally.used(),
            Shape::Fixed(tally) => tally.used(),
            Shape::Bucket(tally) => tally.used(),
        };
        used.saturating_add(self.held).min(limit)
    }

    /// What is in use beyond the limit: what was overshot and has no room yet.
    pub(crate) fn debt(&self, limit: u64) -> u64 {
        let (used, debt) = match &self.shape {
            Shape::Sliding(tally) => (tally.used(), tally.debt()),
            Shape::Fixed(tally) => (tally.used(), tally.debt()),
            Shape::Bucket(tally) => (tally.used(), 0),
        };
        let in_use = used.saturating_add(self.held).saturating_add(debt);
        in_use.saturating_sub(limit).max(debt)
    }

    /// What was overshot and has not been charged yet for want of room.
    #[cfg(feature = "redis")]
    pub(crate) const fn owed(&self) -> u64 {
        match &self.shape {
            Shape::Sliding(tally) => tally.debt(),
            Shape::Fixed(tally) => tally.debt(),
            Shape::Bucket(_) => 0,
        }
    }

    #[inline]
    pub(crate) const fn fits(&self, amount: u64, limit: u64) -> bool {
        let Some(amount) = amount.checked_add(self.held) else {
            return false;
        };
        match &self.shape {
            Shape::Sliding(tally) => tally.fits(amount, limit),
            Shape::Fixed(tally) => tally.fits(amount, limit),
            Shape::Bucket(tally) => tally.fits(amount, limit),
        }
    }

    /// Holds `amount` free until it is charged or given back.
    pub(crate) const fn hold(&mut self, amount: u64) {
        self.held = self.held.saturating_add(amount);
    }

    /// Holds `amount` no longer.
    pub(crate) const fn release(&mut self, amount: u64) {
        self.held = self.held.saturating_sub(amount);
    }

    /// Charges `amount` and answers where it went, for [`give_back`](Self::give_back).
    #[inline]
    pub(crate) fn charge(&mut self, now: Time, amount: u64, limit: u64) -> u64 {
        match &mut self.shape {
            Shape::Sliding(tally) => tally.charge(now, amount),
            Shape::Fixed(tally) => tally.charge(amount),
            Shape::Bucket(tally) => {
                tally.charge(now, amount, limit);
                0
            }
        }
    }

    /// Gives back some of what was charged to `slot`.
    #[inline]
    pub(crate) fn give_back(&mut self, slot: u64, amount: u64) {
        match &mut self.shape {
            Shape::Sliding(tally) => tally.give_back(slot, amount),
            Shape::Fixed(tally) => tally.give_back(slot, amount),
            Shape::Bucket(tally) => tally.give_back(amount),
        }
    }

    /// Charges what was used beyond a reservation, whether or not there is room.
    pub(crate) fn owe(&mut self, now: Time, amount: u64, limit: u64) {
        let free = limit.saturating_sub(self.held);
        match &mut self.shape {
            Shape::Sliding(tally) => tally.owe(now, amount, free),
            Shape::Fixed(tally) => tally.owe(amount, free),
            Shape::Bucket(tally) => tally.charge(now, amount, limit),
        }
    }

    /// When `amount` more could have been charged, were nothing given back.
    pub(crate) fn ready_at(&self, now: Time, amount: u64, limit: u64) -> Time {
        // Where more is in use than the limit, which may have been lowered, not even nothing fits.
        let amount = amount.max(1);
        match &self.shape {
            Shape::Sliding(tally) => tally.ready_at(now, amount, limit, self.held),
            Shape::Fixed(tally) => tally.ready_at(now, amount, limit, self.held),
            Shape::Bucket(tally) => {
                let brim = limit.saturating_sub(self.held);
                tally.ready_at(now, amount, limit, brim)
            }
        }
    }
}
