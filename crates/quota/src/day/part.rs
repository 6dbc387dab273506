use super::DAY;
use crate::{
    fleet::{DayAward, DayClaim},
    time::Time,
};

/// The part of a day's tokens that a fleet lets this process use.
///
/// Unlike a [`Share`](crate::meter::Share) of a minute it is no part of a window, which would be out of the others' reach
/// for a day. It is a slice of what is left, to be spent within its lease. What calls cost is counted from the
/// process's beginning and only grows, so that a renewal which gets lost is made up for by the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    /// The whole limit; zero where none is declared.
    limit: u64,
    /// How many members there usually are, and how many there were when the store last answered.
    usual: u64,
    known: u64,
    /// How long the first answer is waited for.
    patience: u64,
    /// What calls that have ended cost.
    spent: u64,
    /// What calls in flight have reserved.
    reserved: u64,
    /// What the two together may come to.
    cap: u64,
    /// What the two together had come to when the store was last known to count it all.
    counted: u64,
    lease: Lease,
    /// What nobody held when the store last answered. When it falls silent, each may spend a part of that beyond what
    /// is leased.
    left: u64,
    /// Before the last renewal that was answered.
    answered: Option<Time>,
    /// When the store is known to have room again.
    opens: Time,
    demand: Demand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lease {
    Until(Time),
    /// It has run out: until then only the safe share of what was left when the store last answered is known to be
    /// nobody else's; after that nothing counts any more that was used before.
    Safe(Time),
    Away,
}

/// What the process has use for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Demand {
    /// What had been spent and reserved at the last renewal, and at the most since. What calls reserve most of them
    /// give back, so this is less than all that was reserved.
    before: u64,
    peak: u64,
    /// What was asked for last.
    appetite: u64,
    /// What calls need that wait: the one that has waited longest, and all. And since when that one does.
    need: u64,
    waiting: u64,
    since: Time,
    /// The largest that was turned away since the last renewal.
    missed: u64,
    /// What was asked for last, for the answer to say when as much can be had.
    asked: u64,
    calls: u64,
    last_call: Time,
}

/// How long a call that there is no room for is said to wait: for the next renewal, or where the store does not answer.
const UNTIL_RENEWED: u64 = 1_000_000_000;
const UNTIL_TOLD: u64 = 60 * UNTIL_RENEWED;
/// Who makes no call for so long has no use for a slice.
const IDLE: u64 = 60 * UNTIL_RENEWED;

impl Part {
    pub(crate) fn new(limit: u64, usual: u64, patience: u64, now: Time) -> Self {
        Self {
            limit,
            usual: usual.max(1),
            known: 0,
            patience,
            spent: 0,
            reserved: 0,
            cap: 0,
            counted: 0,
            lease: Lease::Until(now.plus(patience)),
            left: u64::MAX,
            answered: None,
            opens: Time::ZERO,
            demand: Demand::default(),
        }
    }

    pub(crate) fn declare(&mut self, limit: u64, now: Time) {
        // One that was answered before has what it has, or nothing until it is called.
        if self.limit == 0 && limit > 0 && self.answered.is_none() {
            self.ask_anew(now);
        }
        self.limit = limit;
    }

    /// Brings it up to `now`.
    pub(crate) fn advance(&mut self, now: Time) {
        match self.lease {
            Lease::Until(end) if end <= now => {
                // The rest of the slice counts as used, but not for as long as what is used of it from now on.
                self.counted = self.counted.min(self.in_use());
                let safe = self.left / self.members();
                self.cap = self.in_use().saturating_add(safe);
                self.lease = Lease::Safe(end.plus(DAY));
            }
            Lease::Safe(end) if end <= now => self.cap = u64::MAX,
            _ => {}
        }
    }

    /// What may be reserved now; `used` is what this process has used in the last day.
    #[inline]
    pub(crate) fn room(&self, used: impl FnOnce() -> u64) -> u64 {
        if self.limit == 0 {
            return u64::MAX;
        }
        self.slice(used)
    }

    /// What of a part of the whole limit is to be left here: what the others cannot have of it, because nobody holds it.
    /// While the store is silent this process's share is all it knows of, so it leaves that part of its share.
    pub(crate) fn to_leave(&self, part: u64) -> u64 {
        match self.lease {
            Lease::Safe(_) => part / self.members(),
            _ => part.saturating_sub(self.left),
        }
    }

    /// When a call for which there is no room is worth looking at again.
    pub(crate) fn changes_after(&self, now: Time) -> Time {
        let told = now.plus(UNTIL_TOLD);
        match self.lease {
            Lease::Until(end) if end > now => end.min(told),
            _ => told,
        }
    }

    /// When such a call can be reckoned to go.
    pub(crate) fn forecast(&self, now: Time) -> Time {
        match self.lease {
            Lease::Until(end) if self.answered.is_none() => end.max(now.plus(1)),
            Lease::Safe(_) => now.plus(UNTIL_TOLD),
            _ => self.opens.max(now.plus(UNTIL_RENEWED)),
        }
    }

    /// When the store said last that there will be room; some moment in the past where it said that there is.
    pub(crate) const fn opens(&self) -> Time {
        match self.lease {
            Lease::Until(_) => self.opens,
            _ => Time::ZERO,
        }
    }

    pub(crate) fn reserve(&mut self, tokens: u64, now: Time) {
        self.reserved = self.reserved.saturating_add(tokens);
        self.demand.asked = tokens;
        self.demand.peak = self.demand.peak.max(self.in_use());
        self.demand.calls += 1;
        self.demand.last_call = now;
    }

    /// A call has ended that had reserved `tokens`.
    pub(crate) const fn end(&mut self, tokens: u64, cost: u64) {
        self.reserved = self.reserved.saturating_sub(tokens);
        self.spent = self.spent.saturating_add(cost);
    }

    /// A call waits that needs so much.
    pub(crate) fn wait(&mut self, tokens: u64, since: Time) {
        if self.demand.waiting == 0 || since < self.demand.since {
            self.demand.need = tokens;
            self.demand.since = since;
        }
        self.demand.waiting = self.demand.waiting.saturating_add(tokens);
        self.demand.asked = tokens;
    }

    /// Whoever waits is told to ask again.
    pub(crate) const fn wait_no_more(&mut self) {
        self.demand.need = 0;
        self.demand.waiting = 0;
    }

    pub(crate) const fn missed(&mut self, tokens: u64) {
        if tokens > self.demand.missed {
            self.demand.missed = tokens;
        }
        self.demand.asked = tokens;
    }

    fn slice(&self, used: impl FnOnce() -> u64) -> u64 {
        let rest = self.cap.saturating_sub(self.in_use());
        match self.lease {
            Lease::Safe(_) => rest.min((self.limit / self.members()).saturating_sub(used())),
            _ => rest,
        }
    }

    /// What a safe share is reckoned with.
    fn members(&self) -> u64 {
        self.usual.max(self.known)
    }

    const fn in_use(&self) -> u64 {
        self.spent.saturating_add(self.reserved)
    }
}

// === what the worker asks and does ===

impl Part {
    pub(crate) const fn is_shared(&self) -> bool {
        self.limit > 0
    }

    pub(crate) const fn is_unused(&self) -> bool {
        self.reserved == 0
    }

    pub(crate) const fn is_new(&self) -> bool {
        self.answered.is_none()
    }

    pub(crate) const fn is_hungry(&self) -> bool {
        self.demand.waiting > 0 || self.demand.missed > 0
    }

    pub(crate) fn is_idle(&self, now: Time) -> bool {
        let calls = self.reserved > 0 || now.since(self.demand.last_call) < IDLE;
        !self.is_hungry() && (self.limit == 0 || !calls)
    }

    /// Whether its lease has run out.
    #[cfg(test)]
    pub(crate) const fn is_lost(&self) -> bool {
        matches!(self.lease, Lease::Safe(_))
    }

    /// For how long the call has waited that has waited longest.
    pub(crate) fn waited(&self, now: Time) -> u64 {
        match self.demand.waiting {
            0 => 0,
            _ => now.since(self.demand.since),
        }
    }

    pub(crate) const fn calls(&self) -> u64 {
        self.demand.calls
    }

    pub(crate) const fn answered_at(&self) -> Option<Time> {
        self.answered
    }

    /// Comes back from being away, or is declared: it has nothing until it is answered, or its patience is over.
    pub(crate) fn ask_anew(&mut self, now: Time) {
        self.cap = self.in_use();
        self.lease = Lease::Until(now.plus(self.patience));
        self.demand.appetite = 0;
    }

    /// Uses no more, and no longer counts on a safe share.
    pub(crate) const fn resign(&mut self) {
        self.cap = self.in_use();
        self.lease = Lease::Away;
    }

    /// Says what it has used and what it may still use, and keeps to that until it is answered.
    ///
    /// Where none waits, one that was turned away counts as one that does: when it comes back, there is to be room.
    pub(crate) fn claim(&mut self, used: u64) -> DayClaim {
        let Demand {
            before,
            peak,
            appetite,
            need,
            waiting,
            missed,
            asked,
            ..
        } = self.demand;
        // Twice what it took since the last time, so that it does not run short before the next.
        let taken = peak.saturating_sub(before);
        let demand = taken.saturating_mul(2).saturating_add(waiting);
        let demand = demand.saturating_add(missed).max(appetite - appetite / 8);
        self.demand.appetite = demand;
        self.demand.before = self.in_use();
        self.demand.peak = self.in_use();
        self.demand.missed = 0;
        let need = if waiting == 0 { missed } else { need };
        let mut slice = self.slice(|| used);
        if let Lease::Until(_) = self.lease {
            // What it has no use for it gives back.
            slice = slice.min(demand);
            self.cap = self.cap.min(self.in_use().saturating_add(slice));
        }
        DayClaim {
            limit: self.limit,
            spent: self.spent,
            counted: self.counted,
            flight: self.reserved,
            holds: self.reserved.saturating_add(slice),
            wants: demand,
            need,
            asks: need.max(asked),
            used,
            expects: match self.lease {
                Lease::Safe(_) if self.known == 0 => self.usual,
                Lease::Safe(_) => self.known,
                _ => 0,
            },
            ..DayClaim::default()
        }
    }

    /// The store has answered what was claimed before `sent`. `expires` is the end of its lease, `None` where it has left.
    pub(crate) fn answered(
        &mut self,
        claim: &DayClaim,
        award: &DayAward,
        members: u64,
        sent: Time,
        expires: Option<Time>,
    ) {
        self.answered = Some(sent);
        self.counted = claim.spent.saturating_add(claim.holds.max(award.holds));
        if let Some(expires) = expires {
            self.cap = claim.spent.saturating_add(award.holds);
            self.lease = Lease::Until(expires);
            self.known = members;
            // What was turned away since the claim has room when it comes back.
            if self.cap.saturating_sub(self.in_use()) >= self.demand.missed {
                self.demand.missed = 0;
            }
            self.left = award.left;
            self.opens = match award.opens {
                0 => Time::ZERO,
                opens => sent.plus(opens.saturating_mul(1_000_000)),
            };
        }
    }
}
