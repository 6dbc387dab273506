//! What the store keeps of one key, and how it answers: the model of `ledger.lua`, and the store of
//! [`MemoryStore`](super::MemoryStore). Pure: time is passed in, in milliseconds of the store's own clock.

use std::collections::BTreeMap;

use super::{
    fair::{Want, divide},
    learnt::Learnt,
    renewal::{Answer, Award, LIMITS, Renewal, StoreError},
};

/// What Redis runs.
pub(crate) const SCRIPT: &str = include_str!("ledger.lua");

/// Who has which part of a key's limits.
///
/// In any window a member can use no more than it is *committed* to: its share, or what it had used when it
/// last reported, whichever is more. A member whose lease has run out may have used its share up to the last
/// moment, so it stays committed for a window longer. A share is made larger only as far as all
/// commitments together stay within the limit; it counts as smaller only once its member has said that it
/// keeps to less. So the limit is kept in every window, whoever is slow, lost or killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    born: u64,
    /// Until when nothing is given away.
    settles: u64,
    learnt: [Learnt; LIMITS],
    members: BTreeMap<u128, Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    sequence: u64,
    expires: u64,
    /// Until when it may count for a window.
    lasts: u64,
    reserve: u64,
    since: u64,
    class: u64,
    standings: [Standing; LIMITS],
}

/// A member's part of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Standing {
    limit: u64,
    share: u64,
    used: u64,
    debt: u64,
    demand: u64,
    need: u64,
    /// What it falls back to when it is cut off.
    safe: u64,
}

/// So many members are kept count of.
pub(crate) const MOST_MEMBERS: usize = 256;

impl Ledger {
    /// A member renews its lease, joins or leaves.
    pub(crate) fn renew(&mut self, now: u64, renewal: &Renewal) -> Result<Answer, StoreError> {
        let id = renewal.member;
        self.members.retain(|_, member| now < member.forgotten());
        if self.members.is_empty() {
            *self = Self {
                born: now,
                ..Self::default()
            };
        }
        match self.members.get(&id) {
            Some(known) if known.sequence >= renewal.sequence => return Err(StoreError::Overtaken),
            None if self.members.len() >= MOST_MEMBERS => return Err(StoreError::Full),
            Some(_) => {}
            // The store was alive when it answered this member, and knows nothing of it: it has lost
            // what it knew, of the others too. Nothing more is given away until they have come, or their
            // leases have run out: none is longer than a window.
            None if renewal.known > 0 && now.saturating_sub(renewal.silence) <= self.born => {
                self.settles = self.settles.max(self.born + renewal.window);
            }
            None => {}
        }
        self.members.insert(id, Member::new(now, renewal));
        let settling = now < self.settles;

        let count = self.members.values().filter(|m| m.counts(now)).count() as u64;
        let mut answer = Answer {
            members: count,
            ..Answer::default()
        };
        if renewal.lease == 0 {
            return Ok(answer);
        }
        for limit in 0..LIMITS {
            if renewal.claims[limit].limit > 0 {
                let claim = &renewal.claims[limit];
                self.learnt[limit].advance(now, claim.version, claim.throttled);
                answer.awards[limit] = self.award(limit, id, now, settling);
            }
        }
        if let Some(own) = self.members.get_mut(&id) {
            for (standing, award) in own.standings.iter_mut().zip(&answer.awards) {
                standing.share = standing.share.max(award.share);
                standing.safe = award.whole / count.max(1);
            }
        }
        Ok(answer)
    }

    /// Whether nothing of it counts any more.
    pub(crate) fn is_forgotten(&self, now: u64) -> bool {
        self.members
            .values()
            .all(|member| now >= member.forgotten())
    }

    fn award(&self, limit: usize, id: u128, now: u64, settling: bool) -> Award {
        let live = || {
            self.members
                .iter()
                .filter(|(_, member)| member.is_live(now))
        };
        let declared = live().map(|(_, member)| member.standings[limit].limit);
        let learnt = self.learnt[limit];
        let whole = learnt.of(declared.filter(|limit| *limit > 0).min().unwrap_or(0));

        let committed = |member: &Member| member.committed(limit, now);
        let lost = self.members.values().filter(|member| !member.is_live(now));
        // What some have overshot, nobody else may use either.
        let owed = live().map(|(_, member)| member.standings[limit].debt);
        let taken = lost.map(committed).sum::<u64>() + owed.sum::<u64>();
        let capacity = whole.saturating_sub(taken);
        let wants: Vec<Want> = live()
            .map(|(_, member)| member.want(limit, whole))
            .collect();
        let position = live().position(|(other, _)| *other == id);
        let aim = position.map_or(0, |at| divide(capacity, &wants)[at]);
        let need = position.map_or(0, |at| wants[at].need);

        let others = self.members.iter().filter(|(other, _)| **other != id);
        let room = whole.saturating_sub(others.map(|(_, member)| committed(member)).sum());
        let holds = self
            .members
            .get(&id)
            .map_or(0, |own| own.standings[limit].share);
        Award {
            share: if settling {
                holds
            } else {
                aim.min(holds.max(room))
            },
            whole,
            prospect: aim.max(need).max(capacity / wants.len().max(1) as u64),
            version: learnt.version(),
        }
    }
}

impl Member {
    fn new(now: u64, renewal: &Renewal) -> Self {
        let leaves = renewal.lease == 0;
        Self {
            sequence: renewal.sequence,
            // What is left of the millisecond that `now` was cut off at counts too.
            expires: if leaves { now } else { now + renewal.lease + 1 },
            // A hundredth more, for a clock that runs slower than the store's.
            lasts: renewal.window + renewal.window / 100 + 1,
            reserve: if leaves { 0 } else { renewal.reserve },
            since: now.saturating_sub(renewal.waited),
            class: renewal.class,
            standings: renewal.claims.map(|claim| Standing {
                limit: claim.limit,
                share: claim.holds,
                used: claim.used,
                debt: claim.debt,
                demand: claim.demand,
                need: claim.need,
                safe: 0,
            }),
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

    /// The most that it can use in any window from now on, or that it has used in the one that ends now.
    fn committed(&self, limit: usize, now: u64) -> u64 {
        let Standing {
            share, used, safe, ..
        } = self.standings[limit];
        // Two windows after its lease it goes up to its safe share, if it is there still. Who may have had what is
        // above its share has to be down by then, so that is to be told from the end of its lease on.
        let later = if self.reserve >= self.lasts {
            safe
        } else {
            share.min(safe)
        };
        if now < self.expires {
            share.max(used)
        } else if now < self.expires + self.lasts {
            share.max(used).max(later)
        } else {
            later
        }
    }

    fn want(&self, limit: usize, whole: u64) -> Want {
        let standing = &self.standings[limit];
        Want {
            class: self.class,
            demand: standing.demand,
            need: standing.need.min(whole),
            since: self.since,
        }
    }
}
