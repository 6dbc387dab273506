//! One process's part in one key: when it renews its lease, what it says, and what it makes of the answer. Pure:
//! time is passed in.

use super::{
    look::{Look, Shares},
    renewal::{Answer, LIMITS, Renewal},
    settings::Settings,
};
use crate::{meter::Terms, time::Time};

/// One process's part in one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    id: u128,
    sequence: u64,
    /// How many members there were, and when that was answered.
    known: u64,
    answered: Option<Time>,
    /// When the lease runs out that is held, by this process's own clock.
    expires: Time,
    /// Whether it has ever been answered.
    found: bool,
    /// Since when it has kept to its safe share.
    lost: Option<Time>,
    /// Whether it has left, having had no use for anything.
    away: bool,
    pace: Pace,
    /// How many calls had been let through when the one that goes next began to wait, and when that was.
    head: (u64, Time),
    /// Whether calls waited at the last renewal.
    hungry: bool,
    /// What it asked for last. What others are to give up arrives some renewals later, and would go to others again
    /// if it were asked for only while calls happen to wait.
    appetite: [u64; LIMITS],
}

/// When the next renewal is due. A hundred calls let through earn one; while calls wait for a larger share it is
/// sooner, at first at once, then less and less often, for as long as nothing comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pace {
    sent: Time,
    granted: u64,
    interval: u64,
    /// How long after the last one the next one is due: the interval, or sooner.
    regular: u64,
    early: u64,
    failures: u32,
}

/// A renewal to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    pub(crate) renewal: Renewal,
    /// Before it was sent.
    pub(crate) at: Time,
}

/// What whoever observes is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has been answered for the first time.
    Found,
    Lost,
    /// After so many nanoseconds.
    Back(u64),
}

const MILLISECOND: u64 = 1_000_000;
const CALLS_A_RENEWAL: u64 = 100;
const FIRST_EARLY: u64 = 500 * MILLISECOND;
const CONFIRM: u64 = 1_000 * MILLISECOND;
const FIRST_RETRY: u64 = 250 * MILLISECOND;
const LONGEST_RETRY: u64 = 2_000 * MILLISECOND;

impl Member {
    pub(crate) fn new(id: u128, now: Time, settings: &Settings) -> Self {
        Self {
            id,
            sequence: 0,
            known: 0,
            answered: None,
            expires: now.plus(settings.patience()),
            found: false,
            lost: None,
            away: false,
            pace: Pace {
                sent: now,
                granted: 0,
                interval: settings.least_interval,
                regular: settings.least_interval,
                early: 0,
                failures: 0,
            },
            head: (0, now),
            hungry: false,
            appetite: [0; LIMITS],
        }
    }

    pub(crate) const fn is_away(&self) -> bool {
        self.away
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// The earliest moment that a renewal may be sent which calls wait for.
    pub(crate) fn earliest(&self) -> Time {
        self.pace.earliest(self.lot())
    }

    /// Different for each member and renewal, below 256: a store that comes back is not to be asked by all at once. One
    /// that was never answered is patient for so long and no longer.
    const fn lot(&self) -> u64 {
        if self.answered.is_none() {
            return 0;
        }
        let lot = (self.id as u64 ^ (self.id >> 64) as u64).wrapping_add(self.sequence);
        lot.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56
    }

    /// Whether a renewal is to be sent now. `called` where something is said to be short.
    pub(crate) fn is_due(&self, look: &Look, now: Time) -> bool {
        if !look.shared && self.answered.is_none() {
            return false;
        }
        if look.new {
            return true;
        }
        let regular = !self.away && now >= self.pace.regular_at();
        if regular || self.pace.failures > 0 || look.hungry || look.throttled {
            return true;
        }
        if self.answered.is_none() || self.away {
            return !look.idle;
        }
        false
    }

    /// When to look again at a key for which nothing is due.
    pub(crate) fn later(&self, now: Time) -> Time {
        self.pace.regular_at().max(now.plus(FIRST_EARLY))
    }

    /// Comes back from being away: it has nothing, and a safe share if nobody answers.
    pub(crate) fn wake(&mut self, shares: &mut impl Shares, now: Time, settings: &Settings) {
        self.away = false;
        self.answered = None;
        self.expires = now.plus(settings.patience());
        let members = self.known.max(settings.members);
        shares.each_share(|_, declared, share| {
            share.ask_anew(declared / members, self.expires);
        });
        self.known = 0;
    }

    /// Says what it holds, and keeps to that until it is answered. One that has no use for anything leaves.
    pub(crate) fn renew(
        &mut self,
        shares: &mut impl Shares,
        look: &Look,
        now: Time,
        settings: &Settings,
    ) -> Sent {
        self.pace.count(look, now, settings);
        if look.hungry && (look.granted != self.head.0 || !self.hungry) {
            self.head = (look.granted, now);
        }
        self.pace.hunger(look);
        self.away = look.idle && self.answered.is_some();
        let mut claims = look.claims;
        let lasting = std::mem::replace(&mut self.hungry, look.hungry) && look.hungry;
        for (limit, (claim, appetite)) in claims.iter_mut().zip(&mut self.appetite).enumerate() {
            if lasting {
                claim.demand = claim.demand.saturating_add(look.more[limit]);
            }
            *appetite = claim.demand.max(*appetite - *appetite / 8);
            claim.demand = *appetite;
        }
        if self.away {
            shares.each_share(|_, _, share| share.resign());
            claims.iter_mut().for_each(|claim| claim.holds = 0);
        } else {
            let answered_by = now.plus(settings.timeout);
            shares.each_share(|_, _, share| share.stay_until(answered_by));
        }
        self.sequence += 1;
        let silence = self.answered.map_or(0, |at| now.since(at));
        Sent {
            renewal: Renewal {
                member: self.id,
                sequence: self.sequence,
                lease: if self.away {
                    0
                } else {
                    self.pace.lease(settings)
                },
                window: settings.window / MILLISECOND,
                reserve: settings.reserve / MILLISECOND,
                known: self.known,
                silence: silence / MILLISECOND,
                waited: now.since(self.head.1) / MILLISECOND,
                class: settings.class(),
                claims,
                day: None,
            },
            at: now,
        }
    }

    /// Leaves: whatever it had is given up, and what it has used is told.
    pub(crate) fn leave(
        &mut self,
        shares: &mut impl Shares,
        look: &Look,
        now: Time,
        settings: &Settings,
    ) -> Sent {
        let mut sent = self.renew(shares, look, now, settings);
        shares.each_share(|_, _, share| share.resign());
        sent.renewal.lease = 0;
        for claim in &mut sent.renewal.claims {
            claim.holds = 0;
        }
        self.away = true;
        sent
    }

    /// The store has answered.
    pub(crate) fn answered(
        &mut self,
        shares: &mut impl Shares,
        sent: &Sent,
        answer: &Answer,
        now: Time,
        settings: &Settings,
    ) -> Option<Change> {
        self.pace.failures = 0;
        let found = (!self.found).then_some(Change::Found);
        self.found = true;
        let back = self.lost.take().map(|since| Change::Back(now.since(since)));
        let change = back.or(found);
        self.known = answer.members;
        if self.away {
            self.known = 0;
            self.answered = None;
            return change;
        }
        // Not when the worker got round to it: the store may have been flushed since.
        self.answered = Some(sent.at);
        let lease = sent.renewal.lease * MILLISECOND;
        // A hundredth less, for a clock that runs faster than the store's.
        self.expires = sent.at.plus(lease - lease / 100);
        let safe_from = self.expires.plus(settings.window.saturating_mul(2));
        let members = answer.members.max(settings.members).max(1);
        shares.each_share(|limit, _, share| {
            if sent.renewal.claims[limit].limit == 0 {
                // Declared since: it has not been asked for.
                return;
            }
            let award = &answer.awards[limit];
            let terms = Terms {
                share: award.share,
                expires: self.expires,
                safe: award.whole / members,
                safe_from,
                whole: award.whole,
                prospect: award.prospect,
                version: award.version,
            };
            share.grant(&terms, now);
        });
        let gives_up = (0..LIMITS).any(|limit| {
            let holds = sent.renewal.claims[limit].holds;
            answer.awards[limit].share < holds - holds / 10
        });
        if gives_up {
            self.confirm();
        }
        change
    }

    /// It is to give up some of what it holds. Others get that once it has been said that it is given up.
    pub(crate) fn confirm(&mut self) {
        self.pace.confirm();
    }

    /// When the lease runs out that is held, by this process's own clock.
    pub(crate) const fn expires(&self) -> Time {
        self.expires
    }

    /// The store has not answered.
    pub(crate) fn failed(&mut self, now: Time) -> Option<Change> {
        if self.away {
            // Whatever it had runs out by itself.
            self.answered = None;
            self.known = 0;
            return None;
        }
        self.pace.failures = self.pace.failures.saturating_add(1);
        if self.lost.is_none() && now >= self.expires {
            self.lost = Some(now);
            return Some(Change::Lost);
        }
        None
    }

    /// When the next renewal is due, where nothing calls for one sooner; `None` while away.
    pub(crate) fn next(&self) -> Option<Time> {
        (!self.away).then(|| self.pace.next(self.lot()))
    }

    /// When renewals are due is of no account to whoever tries every moment for them.
    #[cfg(test)]
    pub(crate) const fn forget_pace(&mut self) {
        self.pace.sent = Time::ZERO;
        self.pace.early = 0;
        self.pace.failures = 0;
        self.pace.interval = 0;
        self.pace.regular = 0;
        self.head = (0, Time::ZERO);
        self.hungry = false;
        self.appetite = [0; LIMITS];
        self.lost = None;
    }

    #[cfg(test)]
    pub(crate) const fn is_known(&self) -> bool {
        self.known > 0
    }
}

impl Pace {
    /// A renewal is sent: how long until the next one?
    fn count(&mut self, look: &Look, now: Time, settings: &Settings) {
        let calls = look.granted - self.granted;
        let elapsed = now.since(self.sent);
        if elapsed > 0 {
            let earned = (u128::from(elapsed) * u128::from(CALLS_A_RENEWAL)
                / u128::from(calls.max(1)))
            .min(u128::from(settings.most_interval)) as u64;
            self.interval = (self.interval / 2 + earned / 2)
                .clamp(settings.least_interval, settings.most_interval);
        }
        self.regular = self.interval;
        self.granted = look.granted;
        self.sent = now;
    }

    const fn regular_at(&self) -> Time {
        self.sent.plus(self.regular)
    }

    fn hunger(&mut self, look: &Look) {
        self.early = if look.hungry || look.throttled {
            self.early
                .saturating_mul(2)
                .clamp(FIRST_EARLY, self.interval.max(FIRST_EARLY))
        } else if self.early > FIRST_EARLY {
            // Who runs short now and then, by chance, is not to ask as eagerly each time.
            self.early - self.early / 8
        } else {
            0
        };
    }

    fn confirm(&mut self) {
        self.regular = self.interval.min(CONFIRM.max(self.early));
    }

    fn next(&self, lot: u64) -> Time {
        if self.failures > 0 {
            return self.earliest(lot);
        }
        self.regular_at()
    }

    /// Whatever waits, a store that fails is not asked again at once.
    fn earliest(&self, lot: u64) -> Time {
        let wait = match self.failures {
            0 => self.early,
            failures => {
                let wait = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(8));
                let wait = wait.min(LONGEST_RETRY);
                wait - wait / 1_024 * lot
            }
        };
        self.sent.plus(wait)
    }

    /// In milliseconds: two intervals, and some time for a store that is slow.
    fn lease(&self, settings: &Settings) -> u64 {
        const SLOW: u64 = 5_000 * MILLISECOND;
        let lease = self.interval.saturating_mul(2).saturating_add(SLOW);
        lease.min(settings.window) / MILLISECOND
    }
}
