//! What a member of the fleet says of a Region's tokens a day, and what it is answered.
//!
//! A minute's shares do not carry over: what a member may fill of a window that it slides by itself nobody else can use
//! until the window has passed, and here that is a day. So the store itself keeps the window, of what calls have cost, and
//! leases slices of what is left, which are spent or given back within seconds.

mod ledger;

pub(crate) use self::ledger::DayLedger;
use super::renewal::MOST;

/// What Redis runs.
pub(crate) const SCRIPT: &str = include_str!("ledger.lua");

/// What a member tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct DayClaim {
    /// The limit as it was declared; zero where there is none.
    pub(crate) limit: u64,
    /// What the member's calls that have ended cost, since it began.
    pub(crate) spent: u64,
    /// As much of that, and of what was to come, the store counted when it last answered.
    pub(crate) counted: u64,
    /// What calls in flight have reserved.
    pub(crate) flight: u64,
    /// What is in flight, and what more it may let through until it is answered.
    pub(crate) holds: u64,
    /// What it would have use for beyond what is in flight.
    pub(crate) wants: u64,
    /// What the call needs that goes next, or that may come back; zero where there is none.
    pub(crate) need: u64,
    /// As much as its calls ask for one by one.
    pub(crate) asks: u64,
    /// What it has used in the last day.
    pub(crate) used: u64,
    /// Where it has gone on with a safe share because nobody answered, how many may have done the same.
    pub(crate) expects: u64,
    /// Which hold of all calls it goes by ...
    pub(crate) version: u64,
    /// ... and where a call under that was throttled, how many were in a row ...
    pub(crate) throttled: u64,
    /// ... and for how long it holds calls.
    pub(crate) held_for: u64,
    /// Whether a call was answered since: one, or zero.
    pub(crate) over: u64,
}

/// What a member may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct DayAward {
    /// Beyond what it had spent: what is in flight, and its slice, for as long as the lease that it asked for.
    pub(crate) holds: u64,
    /// What will be left for all when others have renewed their leases.
    pub(crate) left: u64,
    /// In how long as much as it asks for will have left the window; zero where there is room, but for what others hold.
    pub(crate) opens: u64,
    /// Which hold this is ...
    pub(crate) version: u64,
    /// ... after how many throttles in a row; zero where calls are not held ...
    pub(crate) throttled: u64,
    /// ... and for how long calls are held.
    pub(crate) held_for: u64,
}

impl DayClaim {
    /// In the order that the script reads them.
    pub(super) fn numbers(&self) -> [u64; 14] {
        [
            self.limit,
            self.spent,
            self.counted,
            self.flight,
            self.holds,
            self.wants,
            self.need,
            self.asks,
            self.used,
            self.expects,
            self.version,
            self.throttled,
            self.held_for,
            self.over,
        ]
    }

    /// With every amount at most what is spoken of; what has added up since the beginning may come to more, of which
    /// only differences count.
    pub(super) fn clamped(self) -> Self {
        const MOST_OF_ALL: u64 = 1 << 52;
        Self {
            limit: self.limit.min(MOST),
            spent: self.spent.min(MOST_OF_ALL),
            counted: self.counted.min(MOST_OF_ALL),
            flight: self.flight.min(MOST),
            holds: self.holds.min(MOST),
            wants: self.wants.min(MOST),
            need: self.need.min(MOST),
            asks: self.asks.min(MOST),
            used: self.used.min(MOST),
            ..self
        }
    }
}

impl From<[u64; 6]> for DayAward {
    fn from([holds, left, opens, version, throttled, held_for]: [u64; 6]) -> Self {
        Self {
            holds,
            left,
            opens,
            version,
            throttled,
            held_for,
        }
    }
}
