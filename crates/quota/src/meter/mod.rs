//! One limit of one quota: how much it is said to be, what is in use of it, and what 429s have taught about
//! it.

mod declared;
mod share;
mod unknown;

#[cfg(feature = "redis")]
pub(crate) use self::share::Terms;
pub(crate) use self::share::{Joins, Share};
use self::{declared::Declared, unknown::Unknown};
use crate::{time::Time, window::Window};

/// One limit of one quota.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    rules: Rules,
    /// Counts the windows there have been, so that nothing is given back to one it was not charged to.
    generation: u32,
    /// How its limits join its fleet; `None` where there is none.
    joins: Option<Joins>,
    kind: Kind,
}

/// What it is kept by, whatever is declared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// In nanoseconds.
    pub(crate) period: u64,
    /// The longest that one call may be on its way to the service beyond another, in nanoseconds.
    pub(crate) delay_variation: u64,
    pub(crate) learns: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Declared(Declared),
    Unknown(Unknown),
}

/// Where a charge went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// The slot; of a limit that is not known, how much of the charge it does not count.
    slot: u64,
    generation: u32,
    /// Flags of its own kind: a ticket that has two `bool`s is copied bytewise, which takes as long as a charge.
    flags: u32,
}

/// In no slot yet: it is held until it is sent.
const HELD: u32 = 1;
/// More than half of the limit was in use.
const PRESSED: u32 = 2;

impl Ticket {
    #[inline]
    pub(crate) const fn is_on_hold(&self) -> bool {
        self.flags & HELD != 0
    }

    #[inline]
    const fn is_pressed(&self) -> bool {
        self.flags & PRESSED != 0
    }
}

const fn flag_if(pressed: bool) -> u32 {
    if pressed { PRESSED } else { 0 }
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) declared: Option<u64>,
    pub(crate) effective: Option<u64>,
    pub(crate) used: u64,
    pub(crate) debt: u64,
}

impl Meter {
    pub(crate) fn new(declared: Option<u64>, window: Window, rules: Rules) -> Self {
        Self {
            rules,
            generation: 0,
            joins: None,
            kind: match declared {
                Some(declared) => Kind::Declared(Declared::new(declared, window, rules)),
                None => Kind::Unknown(Unknown::new(rules.period)),
            },
        }
    }

    /// Changes what is declared. What is in use stays so: where the window changes, it counts from `now` in
    /// the new one.
    pub(crate) fn declare(&mut self, declared: Option<u64>, window: Window, now: Time) {
        self.advance(now);
        match (&mut self.kind, declared) {
            (Kind::Declared(meter), Some(new)) if meter.window() == window => meter.declare(new),
            (Kind::Unknown(_), None) => {}
            _ => {
                let in_use = self.reading();
                let mut next = Self::new(declared, window, self.rules);
                next.generation = self.generation.wrapping_add(1);
                next.joins = self.joins;
                if let (Kind::Declared(meter), Some(joins), Some(declared)) =
                    (&mut next.kind, self.joins, declared)
                {
                    // The fleet has counted on nothing here since the limit went.
                    meter.share_with(joins.share(declared, now));
                }
                next.advance(now);
                next.owe(now, in_use.used.saturating_add(in_use.debt));
                *self = next;
            }
        }
    }

    /// Brings the meter up to `now`. Everything else assumes that this has been done.
    #[inline]
    pub(crate) fn advance(&mut self, now: Time) {
        match &mut self.kind {
            Kind::Declared(meter) => meter.advance(now),
            Kind::Unknown(meter) => meter.advance(now),
        }
    }

    /// Whether 429s have taught it something that calm would undo.
    #[inline]
    pub(crate) const fn is_learning(&self) -> bool {
        match &self.kind {
            Kind::Declared(meter) => meter.is_learning(),
            Kind::Unknown(meter) => meter.is_learning(),
        }
    }

    /// Whether it fits now.
    #[inline]
    pub(crate) fn fits(&self, amount: u64) -> bool {
        match &self.kind {
            Kind::Declared(meter) => meter.fits(amount),
            Kind::Unknown(meter) => meter.fits(amount),
        }
    }

    /// The most that could ever fit.
    pub(crate) const fn most(&self) -> u64 {
        match &self.kind {
            Kind::Declared(meter) => meter.most(),
            Kind::Unknown(_) => u64::MAX,
        }
    }

    /// What would fit now.
    pub(crate) fn available(&self) -> u64 {
        match &self.kind {
            Kind::Declared(meter) => meter.available(),
            Kind::Unknown(meter) => meter.available(),
        }
    }

    /// A share of what it would let through at once, were nothing in use; zero where there is no limit. To the nearest
    /// whole one.
    pub(crate) fn part(&self, share: f64) -> u64 {
        let whole = match &self.kind {
            Kind::Declared(meter) => meter.limit(),
            Kind::Unknown(meter) => meter.slack(),
        };
        // `as` saturates, and takes 0 for no number.
        (whole as f64 * share).round() as u64
    }

    /// How much of the limit is used up, as a share of it; zero where there is none.
    pub(crate) fn fullness(&self) -> f64 {
        match &self.kind {
            Kind::Declared(meter) => {
                let Reading { used, debt, .. } = meter.reading();
                let limit = used.saturating_add(meter.available()).max(1);
                used.saturating_add(debt) as f64 / limit as f64
            }
            Kind::Unknown(meter) => meter.fullness(),
        }
    }

    /// Charges a call that is sent now.
    #[inline]
    pub(crate) fn charge(&mut self, now: Time, amount: u64) -> Ticket {
        let (slot, pressed) = match &mut self.kind {
            Kind::Declared(meter) => (meter.charge(now, amount), meter.is_pressed()),
            Kind::Unknown(meter) => (meter.charge(now, amount), meter.is_pressed()),
        };
        Ticket {
            slot,
            generation: self.generation,
            flags: flag_if(pressed),
        }
    }

    /// Charges a call that is let through now and will be sent later.
    pub(crate) fn hold(&mut self, now: Time, amount: u64) -> Ticket {
        match &mut self.kind {
            Kind::Declared(meter) => {
                meter.hold(amount);
                Ticket {
                    slot: 0,
                    generation: self.generation,
                    flags: HELD | flag_if(meter.is_pressed()),
                }
            }
            // A pace is no promise of what a window holds.
            Kind::Unknown(_) => self.charge(now, amount),
        }
    }

    /// A call that was charged is held after all: what it waits for next takes time.
    pub(crate) fn put_on_hold(&mut self, now: Time, ticket: &mut Ticket, amount: u64) {
        if !ticket.is_on_hold() && matches!(self.kind, Kind::Declared(_)) {
            self.give_back(*ticket, amount);
            let pressed = ticket.flags & PRESSED;
            *ticket = self.hold(now, amount);
            ticket.flags |= pressed;
        }
    }

    /// A call that was held is sent now.
    #[inline]
    pub(crate) fn send(&mut self, now: Time, ticket: &mut Ticket, amount: u64) {
        if ticket.is_on_hold() {
            self.give_back(*ticket, amount);
            let pressed = ticket.flags & PRESSED;
            *ticket = self.charge(now, amount);
            ticket.flags |= pressed;
        }
    }

    #[inline]
    pub(crate) fn give_back(&mut self, ticket: Ticket, amount: u64) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.kind {
            Kind::Declared(meter) if ticket.is_on_hold() => meter.release(amount),
            Kind::Declared(meter) => meter.give_back(ticket.slot, amount),
            Kind::Unknown(meter) => meter.give_back(ticket.slot, amount),
        }
    }

    /// Charges what was used beyond a reservation, whether or not there is room.
    pub(crate) fn owe(&mut self, now: Time, amount: u64) {
        match &mut self.kind {
            Kind::Declared(meter) => meter.owe(now, amount),
            Kind::Unknown(meter) => {
                meter.charge(now, amount);
            }
        }
    }

    /// When one call of `amount` would fit, were it the next and nothing given back.
    pub(crate) fn opens_at(&self, now: Time, amount: u64) -> Time {
        match &self.kind {
            _ if self.fits(amount) => now,
            Kind::Declared(meter) => meter.opens_at(now, amount),
            Kind::Unknown(meter) => meter.opens_at(now, amount),
        }
    }

    /// When calls of `amount` together would all have been let through, were nothing given back.
    pub(crate) fn forecast(&self, now: Time, amount: u64) -> Time {
        match &self.kind {
            Kind::Declared(meter) => meter.forecast(now, amount),
            Kind::Unknown(meter) => meter.forecast(now, amount),
        }
    }

    /// Bedrock throttled a call for this limit that was sent at `sent`, and that is charged here still.
    pub(crate) fn throttled(&mut self, amount: u64, sent: Time, now: Time) {
        if self.rules.learns {
            match &mut self.kind {
                Kind::Declared(meter) => meter.throttled(amount, sent, now),
                Kind::Unknown(meter) => meter.throttled(amount, sent, now),
            }
        }
    }

    /// A call that was charged here succeeded, and used `amount`.
    #[inline]
    pub(crate) fn succeeded(&mut self, ticket: Ticket, amount: u64, now: Time) {
        match &mut self.kind {
            Kind::Declared(meter) => meter.succeeded(ticket.is_pressed(), amount, now),
            Kind::Unknown(meter) => meter.succeeded(ticket.is_pressed(), amount, now),
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        match &self.kind {
            Kind::Declared(meter) => meter.reading(),
            Kind::Unknown(meter) => meter.reading(),
        }
    }

    /// Whether nothing would be lost by forgetting the meter but what was learnt.
    pub(crate) fn is_idle(&self) -> bool {
        let reading = self.reading();
        reading.used == 0 && reading.debt == 0
    }
}

#[cfg(feature = "redis")]
impl Meter {
    /// From now on the limit is one of a fleet.
    pub(crate) fn join(&mut self, joins: Joins, now: Time) {
        let declared = self.reading().declared.unwrap_or(0);
        if let Kind::Declared(meter) = &mut self.kind {
            meter.share_with(joins.share(declared, now));
        }
        self.joins = Some(joins);
    }

    /// This process's share of the limit; `None` where there is none to share.
    pub(crate) fn share(&self) -> Option<&Share> {
        match &self.kind {
            Kind::Declared(meter) => meter.share(),
            Kind::Unknown(_) => None,
        }
    }

    /// What calls have cost beyond what they reserved, and is not worked off yet.
    pub(crate) const fn owed(&self) -> u64 {
        match &self.kind {
            Kind::Declared(meter) => meter.owed(),
            Kind::Unknown(_) => 0,
        }
    }

    /// Changes the share.
    pub(crate) fn change_share(&mut self, change: impl FnOnce(&mut Share)) {
        if let Kind::Declared(meter) = &mut self.kind {
            meter.change_share(change);
        }
    }
}
