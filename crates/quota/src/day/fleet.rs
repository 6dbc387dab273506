//! A day whose tokens are a fleet's.

use std::sync::Weak;

use super::{Day, DayState, Hold, part::Part};
use crate::{
    fleet::{
        Answer, Attention, Change, DayAward, DayClaim, Leased, Look, Member, NoShares, Sent,
        Settings,
    },
    key::Key,
    time::{Clock, Time},
    window::Window,
};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) part: Part,
    /// What the store has not been told of the hold.
    pub(super) untold: Untold,
    /// The latest hold that the store has told of.
    version: u64,
}

/// What calls have taught that the store has not been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    Nothing,
    /// One was throttled.
    Held,
    /// One was answered.
    Over,
}

const MILLISECOND: u64 = 1_000_000;

impl Day {
    /// From now on it is a fleet's.
    pub(crate) fn share(&self, attention: Attention, part: Part) {
        let new = part.is_shared();
        self.state.lock().shared = Some(Box::new(Shared {
            part,
            untold: Untold::Nothing,
            version: 0,
        }));
        // Set once, by whoever made the day.
        let _ = self.attention.set(attention);
        if new {
            self.call();
        }
    }

    /// The whole limit; zero where none is declared.
    pub(crate) fn limit(&self) -> u64 {
        self.state.lock().meter.reading().declared.unwrap_or(0)
    }

    /// The worker is to look at it.
    pub(crate) fn call(&self) {
        if let Some(attention) = self.attention.get() {
            attention.call();
        }
    }

    /// Uses no more.
    pub(crate) fn resign(&self) {
        self.with(|state, _| {
            state.shared.as_mut()?.part.resign();
            Some(())
        });
    }

    /// Does something to the part, and answers where there is one.
    fn with<R>(&self, change: impl FnOnce(&mut DayState, Time) -> Option<R>) -> Option<R> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.advance(now);
        change(&mut state, now)
    }

    /// Who waits for it looks again.
    fn tell_those_who_wait(&self) {
        let blocked = self.state.lock().take_blocked();
        let now = self.clock.now();
        for key in blocked.iter().filter_map(Weak::upgrade) {
            Key::told(&key, now);
        }
    }
}

impl DayState {
    /// What a fleet leaves of it.
    pub(super) fn room(&self) -> u64 {
        match &self.shared {
            Some(shared) => shared.part.room(|| self.used()),
            None => u64::MAX,
        }
    }

    /// What this process has used by itself.
    fn used(&self) -> u64 {
        let reading = self.meter.reading();
        reading.used.saturating_add(reading.debt)
    }

    /// A call was turned away.
    pub(crate) fn missed(&mut self, tokens: u64) {
        if let Some(shared) = &mut self.shared {
            shared.part.missed(tokens);
        }
    }

    pub(super) fn shared_without_room(&self, tokens: u64) -> Option<&Shared> {
        let shared = self.shared.as_deref()?;
        (tokens > self.room()).then_some(shared)
    }

    /// A fleet's day slides, whatever shape is declared.
    pub(super) fn window(&self, declared: Window) -> Window {
        match &self.shared {
            Some(_) => Window::Sliding,
            None => declared,
        }
    }

    /// Answers whether calls are in flight that were counted.
    pub(super) fn declare(&mut self, limit: Option<u64>, now: Time) -> bool {
        let Some(shared) = &mut self.shared else {
            return false;
        };
        shared.part.declare(limit.unwrap_or(0), now);
        !shared.part.is_unused()
    }

    /// How it stands, as its worker sees it.
    fn look(&self, now: Time) -> Option<Look> {
        let shared = self.shared.as_deref()?;
        Some(Look {
            granted: shared.part.calls(),
            hungry: shared.part.is_hungry(),
            throttled: shared.untold == Untold::Held,
            idle: shared.part.is_idle(now),
            new: shared.part.is_shared() && shared.part.is_new(),
            shared: shared.part.is_shared(),
            ..Look::default()
        })
    }

    /// Makes a renewal one of a day.
    fn claim(&mut self, mut sent: Sent, now: Time) -> Option<Sent> {
        let used = self.used();
        let shared = self.shared.as_deref_mut()?;
        let renewal = &mut sent.renewal;
        if renewal.lease == 0 {
            shared.part.resign();
        }
        // Who was away for long has used what counts still, and tells it a store that has lost it.
        let answered = shared.part.answered_at();
        renewal.known = u64::from(answered.is_some());
        renewal.silence = answered.map_or(0, |at| now.since(at)) / MILLISECOND;
        let hold = self.hold.filter(|_| shared.untold == Untold::Held);
        renewal.day = Some(DayClaim {
            version: shared.version,
            throttled: hold.map_or(0, |hold| u64::from(hold.in_a_row) + 1),
            held_for: hold.map_or(0, |hold| hold.until.since(now).div_ceil(MILLISECOND)),
            over: u64::from(shared.untold == Untold::Over),
            ..shared.part.claim(used, self.hold.is_some())
        });
        Some(sent)
    }

    fn learn(&mut self, claim: &DayClaim, award: &DayAward, now: Time) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        let told = match shared.untold {
            Untold::Nothing => true,
            Untold::Held => claim.throttled > 0,
            Untold::Over => claim.over > 0,
        };
        if !told {
            return;
        }
        shared.untold = Untold::Nothing;
        let same = shared.version == award.version;
        shared.version = award.version;
        self.hold = (award.throttled > 0).then(|| Hold {
            since: self.hold.filter(|_| same).map_or(now, |hold| hold.since),
            until: now.plus(award.held_for.saturating_mul(MILLISECOND)),
            in_a_row: (award.throttled - 1) as u32,
        });
    }
}

impl Leased for Day {
    fn attention(&self) -> Option<&Attention> {
        self.attention.get()
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn name(&self) -> String {
        format!("{}/tokens-per-day", self.region)
    }

    fn renew(&self, member: &mut Member, settings: &Settings) -> (Option<Sent>, bool) {
        let mut is_shared = false;
        let sent = self.with(|state, now| {
            let look = state.look(now)?;
            is_shared = look.shared;
            if let Some(attention) = self.attention.get() {
                attention.answer();
            }
            if member.is_away() && !look.idle {
                member.wake(&mut NoShares, now, settings);
                state.shared.as_mut()?.part.ask_anew(now);
            }
            // Where the limit is gone there is a slice to give back.
            let answered = state.shared.as_ref()?.part.answered_at().is_some();
            let gives_up = answered && !look.shared && look.idle && !member.is_away();
            if !gives_up && !member.is_due(&look, now) {
                return None;
            }
            let sent = member.renew(&mut NoShares, &look, now, settings);
            state.claim(sent, now)
        });
        (sent, is_shared)
    }

    fn answered(
        &self,
        member: &mut Member,
        sent: &Sent,
        answer: &Answer,
        settings: &Settings,
    ) -> Option<Change> {
        let claim = sent.renewal.day.as_ref()?;
        let change = self.with(|state, now| {
            let change = member.answered(&mut NoShares, sent, answer, now, settings);
            let expires = (sent.renewal.lease > 0).then(|| member.expires());
            let members = answer.members.max(settings.members);
            let award = &answer.day;
            let part = &mut state.shared.as_mut()?.part;
            part.answered(claim, award, members, sent.at, expires);
            if self.learns && expires.is_some() {
                state.learn(claim, award, now);
            }
            state.advance(now);
            change
        });
        if sent.renewal.lease > 0 && answer.day.holds < claim.holds - claim.holds / 10 {
            // Others get it once it has been said that it is given up.
            member.confirm();
        }
        self.tell_those_who_wait();
        change
    }

    fn turned_away(&self) {
        self.resign();
    }

    fn leave(&self, member: &mut Member, settings: &Settings) -> Option<Sent> {
        self.with(|state, now| {
            let look = state.look(now)?;
            let sent = member.leave(&mut NoShares, &look, now, settings);
            state.claim(sent, now)
        })
    }

    /// Of a day there is no key to tell of. Those whose minutes are shared tell of the same store.
    fn tell(&self, _: Change) {}
}
