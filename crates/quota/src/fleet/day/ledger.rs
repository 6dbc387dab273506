//! What the store keeps of a Region's day, and how it answers: the model of `ledger.lua`, and the store of
//! [`MemoryStore`](crate::fleet::MemoryStore). Pure: time is passed in, in milliseconds of the store's own clock.

use std::collections::BTreeMap;

use super::{DayAward, DayClaim};
use crate::fleet::{
    ledger::MOST_MEMBERS,
    renewal::{Answer, MOST, Renewal, StoreError},
};

/// What was used of a day, and who may use more of it.
///
/// What calls have cost is *booked* when their member tells of it, no earlier than it was used, and counts until the whole
/// bucket that it was booked in is a day old. What a member *holds* it may use before it tells: its calls in flight,
/// and its slice. A slice is given only of what is neither booked nor held. What is held by a member that is not heard
/// of again is booked when its lease is over. So the limit is kept in every day, whoever is slow, lost or killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct DayLedger {
    /// Zero before the first renewal.
    born: u64,
    renewed: u64,
    /// Until when nothing is given away.
    settles: u64,
    hold: Hold,
    /// What was booked, by quarters of an hour.
    buckets: BTreeMap<u64, u64>,
    members: BTreeMap<u128, Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    sequence: u64,
    expires: u64,
    /// For how long it is waited for beyond that.
    reserve: u64,
    /// For how long a renewal may still be on its way beyond that.
    lasts: u64,
    /// Since when its next call waits.
    since: u64,
    limit: u64,
    /// What has been booked of it.
    spent: u64,
    holds: u64,
    /// What its next call needs beyond that.
    need: u64,
}

/// What throttles for tokens a day have taught the whole fleet: no calls, and then one at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Hold {
    version: u64,
    /// How many calls were throttled in a row; zero where no calls are held.
    throttled: u64,
    until: u64,
}

const DAY: u64 = 86_400_000;
const BUCKET: u64 = 900_000;
const BETWEEN_PROBES: u64 = 10_000;

impl DayLedger {
    /// A member renews its lease, joins or leaves.
    pub(crate) fn renew(
        &mut self,
        now: u64,
        renewal: &Renewal,
        claim: &DayClaim,
    ) -> Result<Answer, StoreError> {
        self.forget(now);
        if self.born == 0 {
            self.born = now;
        }
        let known = self.members.get(&renewal.member);
        let spent = match known {
            Some(known) if known.sequence >= renewal.sequence => return Err(StoreError::Overtaken),
            None if self.members.len() >= MOST_MEMBERS => return Err(StoreError::Full),
            Some(known) => claim.spent.saturating_sub(known.spent),
            // The store was alive when it answered this member, and is younger: it has lost what it knew, of the others
            // too. Nothing more is given away until they have come and told what they have used, or their leases have
            // run out: none is longer than a window of a minute.
            None if renewal.known > 0
                && renewal.silence < DAY
                && now.saturating_sub(renewal.silence) <= self.born =>
            {
                self.settles = self.settles.max(self.born + renewal.window);
                claim.used.saturating_sub(claim.flight)
            }
            None => claim.spent.saturating_sub(claim.counted),
        };
        self.book(now, spent);
        // What has been used while nobody was answered has to be told by all before more is given away.
        let others = self
            .members
            .iter()
            .filter(|(id, member)| **id != renewal.member && member.is_live(now));
        if (others.count() as u64) + 1 < claim.expects {
            self.settles = self.settles.max(now + renewal.window);
        }
        let mut own = Member::new(now, renewal, claim);
        let mut answer = Answer::default();
        if renewal.lease == 0 {
            // Nobody will tell what its calls in flight cost.
            self.book(now, claim.holds);
            own.spent += claim.holds;
        } else {
            own.holds = claim.holds;
            self.learn(now, claim);
            answer.day = self.award(now, renewal.member, &own, claim);
            own.holds = own.holds.max(answer.day.holds);
            if answer.day.holds >= claim.flight + claim.need {
                own.need = 0;
            }
        }
        self.members.insert(renewal.member, own);
        self.renewed = now;
        answer.members = self.members.values().filter(|m| m.counts(now)).count() as u64;
        Ok(answer)
    }

    /// Whether nothing of it counts any more.
    pub(crate) const fn is_forgotten(&self, now: u64) -> bool {
        now >= self.renewed + DAY + BUCKET
    }

    fn forget(&mut self, now: u64) {
        let gone = self.members.values().filter(|m| m.forgotten() <= now);
        let gone: Vec<_> = gone.map(|m| (m.forgotten(), m.holds)).collect();
        for (at, holds) in gone {
            // It may have used all of it, at the end of its lease at the latest.
            self.book(at, holds);
        }
        self.members.retain(|_, m| now < m.forgotten());
        self.buckets.retain(|at, _| now < leaves(*at));
    }

    fn book(&mut self, at: u64, amount: u64) {
        if amount > 0 {
            let bucket = self.buckets.entry(at / BUCKET).or_default();
            *bucket = (*bucket + amount.min(MOST)).min(MOST);
        }
    }

    fn learn(&mut self, now: u64, claim: &DayClaim) {
        let hold = &mut self.hold;
        if claim.version != hold.version || claim.throttled + claim.over == 0 {
            return;
        }
        hold.version += 1;
        hold.throttled = claim.throttled;
        hold.until = if claim.throttled > 0 {
            now + claim.held_for
        } else {
            0
        };
    }

    fn award(&mut self, now: u64, id: u128, own: &Member, claim: &DayClaim) -> DayAward {
        let others = || self.members.iter().filter(|(other, _)| **other != id);
        let live = || others().filter(|(_, m)| m.is_live(now)).chain([(&id, own)]);
        let limits = live().map(|(_, member)| member.limit);
        let whole = limits.filter(|limit| *limit > 0).min().unwrap_or(0);
        let booked: u64 = self.buckets.values().sum();
        let held: u64 = others().map(|(_, m)| m.holds).sum();
        let taken = booked + held + claim.flight;
        // Those who came earlier have what they need first, unless no day has room for it.
        let earlier = |(other, member): &(&u128, &Member)| {
            **other != id
                && (1..=whole).contains(&member.need)
                && (own.need == 0 || (member.since, **other) < (own.since, id))
        };
        let before: u64 = live().filter(earlier).map(|(_, member)| member.need).sum();
        let left = whole.saturating_sub(taken);
        let room = left.saturating_sub(before);

        // Of what is left nobody takes all, but one that is stuck what it needs.
        let mut slice = claim.wants.min(room / (2 * live().count() as u64));
        if slice < claim.need && claim.need <= room {
            slice = claim.need;
        }
        if now < self.settles {
            slice = claim.holds.saturating_sub(claim.flight).min(left);
        }
        // What is held mostly comes back within seconds.
        let opens = self.opens(now, whole, booked + claim.asks.max(1));
        let held_for = self.hold.until.saturating_sub(now);
        if self.hold.throttled > 0 {
            // Until it is over nobody goes, and then one call at a time finds out.
            let probes = held_for == 0 && claim.need > 0 && slice >= claim.need;
            slice = 0;
            if probes {
                slice = claim.need;
                self.hold.until = now + BETWEEN_PROBES;
            }
        }
        DayAward {
            holds: claim.flight + slice,
            // Others may have taken as much again before they lose the store too.
            left: left.saturating_sub(slice + held),
            opens,
            version: self.hold.version,
            throttled: self.hold.throttled,
            held_for,
        }
    }

    /// In how long no more than the limit is taken; zero where that is so.
    fn opens(&self, now: u64, whole: u64, taken: u64) -> u64 {
        let mut over = taken.saturating_sub(whole);
        let mut opens = 0;
        for (at, amount) in &self.buckets {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(*amount);
            opens = leaves(*at) - now;
        }
        opens
    }
}

/// When a bucket leaves the window.
const fn leaves(bucket: u64) -> u64 {
    (bucket + 1) * BUCKET + DAY
}

impl Member {
    fn new(now: u64, renewal: &Renewal, claim: &DayClaim) -> Self {
        let leaves = renewal.lease == 0;
        Self {
            sequence: renewal.sequence,
            // What is left of the millisecond that `now` was cut off at counts too.
            expires: if leaves { now } else { now + renewal.lease + 1 },
            reserve: if leaves { 0 } else { renewal.reserve },
            lasts: renewal.window,
            since: now.saturating_sub(renewal.waited),
            limit: claim.limit,
            spent: claim.spent,
            holds: 0,
            need: claim.need,
        }
    }

    const fn is_live(&self, now: u64) -> bool {
        now < self.expires
    }

    /// Whether it is one of those that a safe share is reckoned with.
    const fn counts(&self, now: u64) -> bool {
        now < self.expires + self.reserve
    }

    const fn forgotten(&self) -> u64 {
        self.expires + self.reserve + self.lasts
    }
}
