use tokio::time::Duration;

use super::{bucket::Bucket, fixed::Fixed, sliding::Sliding};
use crate::WindowShape;

/// What counts against one limit, in one of the three shapes. Time must not run backwards.
///
/// A reservation is taken whole. When it is settled lower, the rest is given back at once, as if it had
/// never been taken. What it is settled higher counts from then on, whether there is room or not: that is
/// debt.
#[derive(Debug)]
pub(super) struct Window {
    limit: u64,
    generation: u64,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Sliding(Sliding),
    Fixed(Fixed),
    Bucket(Bucket),
}

/// What was taken from a window, to be settled there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    amount: u64,
    /// Where it is: the event's number (sliding) or the cycle's (fixed).
    place: u64,
    /// Of the window it was taken from. The one that took its place knows nothing of it.
    generation: u64,
}

impl Window {
    /// Windows of one limit that follow one another have different generations.
    pub(super) fn new(
        shape: WindowShape,
        period: Duration,
        limit: u64,
        generation: u64,
        now: Duration,
    ) -> Self {
        let shape = match shape {
            WindowShape::Sliding => Shape::Sliding(Sliding::new(period)),
            WindowShape::Fixed => Shape::Fixed(Fixed::new(period, now)),
            WindowShape::Bucket => Shape::Bucket(Bucket::new(period, limit, now)),
        };
        Self {
            limit,
            generation,
            shape,
        }
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Keeps what is used and changes what may be.
    pub(super) fn set_limit(&mut self, limit: u64, now: Duration) {
        match &mut self.shape {
            Shape::Sliding(_) => {}
            // What the cycles so far carry over goes by the limit they had.
            Shape::Fixed(fixed) => fixed.advance(now, self.limit),
            Shape::Bucket(bucket) => bucket.set_capacity(limit, now),
        }
        self.limit = limit;
    }

    /// What counts against the limit now; more than the limit where there is debt.
    pub(super) fn used(&mut self, now: Duration) -> u128 {
        match &mut self.shape {
            Shape::Sliding(sliding) => sliding.used(now),
            Shape::Fixed(fixed) => fixed.used(now, self.limit),
            Shape::Bucket(bucket) => bucket.used(now),
        }
    }

    /// What there is room for.
    pub(super) fn room(&mut self, now: Duration) -> u64 {
        let room = u128::from(self.limit).saturating_sub(self.used(now));
        u64::try_from(room).unwrap_or(u64::MAX)
    }

    /// Takes an amount, whether there is room or not.
    pub(super) fn take(&mut self, now: Duration, amount: u64) -> Taken {
        let place = match &mut self.shape {
            Shape::Sliding(sliding) => sliding.take(now, amount),
            Shape::Fixed(fixed) => fixed.take(now, self.limit, amount),
            Shape::Bucket(bucket) => {
                bucket.take(now, amount);
                0
            }
        };
        Taken {
            amount,
            place,
            generation: self.generation,
        }
    }

    /// Puts what it cost in the end in place of what was taken.
    pub(super) fn settle(&mut self, now: Duration, taken: Taken, actual: u64) {
        if taken.generation != self.generation {
            return;
        }
        let Taken { amount, place, .. } = taken;
        let unused = amount.saturating_sub(actual);
        match &mut self.shape {
            Shape::Sliding(sliding) => sliding.give_back(now, place, unused),
            Shape::Fixed(fixed) => fixed.give_back(now, self.limit, place, unused),
            Shape::Bucket(bucket) => bucket.give_back(now, unused),
        }
        if actual > amount {
            self.take(now, actual - amount);
        }
    }
}
