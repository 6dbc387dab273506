//! A day whose tokens are a fleet's.

use std::sync::OnceLock;

use tower_bedrock_core::Region;

use super::{Day, DayState, Hold, part::Part};
use crate::{
    fleet::{
        Answer, Attention, Change, DayAward, DayClaim, Leased, Look, Member, NoShares, Sent,
        Settings,
    },
    time::{Clock, Time},
    window::Window,
};

/// How the worker is called, and what it calls the day.
#[derive(Debug)]
pub(super) struct Seat {
    region: Region,
    clock: Clock,
    attention: OnceLock<Attention>,
}

/// Where the day is a fleet's, this process's part of it.
#[derive(Debug)]
pub(super) struct Place(Option<Box<Shared>>);

#[derive(Debug)]
struct Shared {
    part: Part,
    untold: Untold,
    /// The latest hold that the store has told of.
    version: u64,
}

/// What calls have taught that the store has not been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Untold {
    Nothing,
    /// One was throttled.
    Held,
    /// One was answered.
    Over,
}

const MILLISECOND: u64 = 1_000_000;

impl Seat {
    pub(super) fn new(region: &Region, clock: Clock) -> Self {
        Self {
            region: region.clone(),
            clock,
            attention: OnceLock::new(),
        }
    }

    /// The worker is to look.
    pub(super) fn call(&self) {
        if let Some(attention) = self.attention.get() {
            attention.call();
        }
    }
}

impl Place {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    pub(super) fn declare(&mut self, limit: u64, now: Time) {
        self.change(|shared| shared.part.declare(limit, now));
    }

    /// A fleet's day slides, whatever shape is declared.
    pub(super) const fn window(&self, declared: Window) -> Window {
        match &self.0 {
            Some(_) => Window::Sliding,
            None => declared,
        }
    }

    #[inline]
    pub(super) fn advance(&mut self, now: Time) {
        self.change(|shared| shared.part.advance(now));
    }

    #[inline]
    pub(super) fn room(&self, used: impl FnOnce() -> u64) -> u64 {
        match &self.0 {
            Some(shared) => shared.part.room(used),
            None => u64::MAX,
        }
    }

    pub(super) fn to_leave(&self, part: u64) -> u64 {
        let shared = self.0.as_ref();
        shared.map_or(part, |shared| shared.part.to_leave(part))
    }

    pub(super) fn changes_after(&self, now: Time) -> Time {
        let shared = self.0.as_ref();
        shared.map_or(now, |shared| shared.part.changes_after(now))
    }

    pub(super) fn forecast(&self, now: Time) -> Time {
        let shared = self.0.as_ref();
        shared.map_or(now, |shared| shared.part.forecast(now))
    }

    pub(super) fn told(&self) -> Option<Time> {
        self.0.as_ref().map(|shared| shared.part.opens())
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|shared| !shared.part.is_unused())
    }

    #[inline]
    pub(super) fn reserve(&mut self, tokens: u64, now: Time) {
        self.change(|shared| shared.part.reserve(tokens, now));
    }

    #[inline]
    pub(super) fn end(&mut self, reserved: u64, cost: u64) {
        self.change(|shared| shared.part.end(reserved, cost));
    }

    pub(super) fn wait(&mut self, tokens: u64, since: Time) {
        self.change(|shared| shared.part.wait(tokens, since));
    }

    #[inline]
    pub(super) fn wait_no_more(&mut self) {
        self.change(|shared| shared.part.wait_no_more());
    }

    pub(super) fn missed(&mut self, tokens: u64) {
        self.change(|shared| shared.part.missed(tokens));
    }

    pub(super) fn held(&mut self) {
        self.change(|shared| shared.untold = Untold::Held);
    }

    pub(super) fn over(&mut self) {
        self.change(|shared| shared.untold = Untold::Over);
    }

    #[inline]
    fn change(&mut self, change: impl FnOnce(&mut Shared)) {
        if let Some(shared) = &mut self.0 {
            change(shared);
        }
    }
}

impl Day {
    /// From now on it is a fleet's.
    pub(crate) fn share(&self, attention: Attention, part: Part) {
        let new = part.is_shared();
        self.state.lock().place = Place(Some(Box::new(Shared {
            part,
            untold: Untold::Nothing,
            version: 0,
        })));
        // Set once, by whoever made the day.
        let _ = self.seat.attention.set(attention);
        if new {
            self.call();
        }
    }

    /// The whole limit; zero where none is declared.
    pub(crate) fn limit(&self) -> u64 {
        self.state.lock().meter.reading().declared.unwrap_or(0)
    }

    /// Uses no more.
    pub(crate) fn resign(&self) {
        let mut state = self.state.lock();
        state.place.change(|shared| shared.part.resign());
    }

    /// Does something, and answers where it is a fleet's.
    fn with<R>(&self, change: impl FnOnce(&mut DayState, Time) -> Option<R>) -> Option<R> {
        let now = self.seat.clock.now();
        let mut state = self.state.lock();
        state.advance(now);
        change(&mut state, now)
    }

    /// Who waits for it looks again.
    fn tell_those_who_wait(&self) {
        let blocked = self.state.lock().take_blocked();
        let now = self.seat.clock.now();
        for key in blocked.iter().filter_map(|(_, key)| key.upgrade()) {
            key.told(now);
        }
    }
}

impl DayState {
    /// How it stands, as its worker sees it.
    fn look(&self, now: Time) -> Option<Look> {
        let Shared { part, untold, .. } = self.place.0.as_deref()?;
        Some(Look {
            granted: part.calls(),
            hungry: part.is_hungry(),
            throttled: *untold == Untold::Held,
            idle: part.is_idle(now),
            new: part.is_shared() && part.is_new(),
            shared: part.is_shared(),
            ..Look::default()
        })
    }

    /// Makes a renewal one of a day.
    fn claim(&mut self, mut sent: Sent, now: Time) -> Option<Sent> {
        let used = self.used();
        let Shared {
            part,
            untold,
            version,
        } = self.place.0.as_deref_mut()?;
        let renewal = &mut sent.renewal;
        if renewal.lease == 0 {
            part.resign();
        }
        // Who was away for long has used what counts still, and tells it a store that has lost it.
        let answered = part.answered_at();
        renewal.known = u64::from(answered.is_some());
        renewal.silence = answered.map_or(0, |at| now.since(at)) / MILLISECOND;
        // Not for how long none was let through: those of one model pass while one of another waits.
        renewal.waited = part.waited(now) / MILLISECOND;
        let hold = self.hold.filter(|_| *untold == Untold::Held);
        renewal.day = Some(DayClaim {
            version: *version,
            throttled: hold.map_or(0, |hold| u64::from(hold.in_a_row) + 1),
            held_for: hold.map_or(0, |hold| hold.until.since(now).div_ceil(MILLISECOND)),
            over: u64::from(*untold == Untold::Over),
            ..part.claim(used)
        });
        Some(sent)
    }

    /// Takes over the hold that the store tells of, unless calls have taught something since that it does not know.
    fn learn(&mut self, claim: &DayClaim, award: &DayAward, now: Time) {
        let Some(shared) = &mut self.place.0 else {
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
            in_a_row: u32::try_from(award.throttled - 1).unwrap_or(u32::MAX),
        });
    }
}

impl Leased for Day {
    fn attention(&self) -> Option<&Attention> {
        self.seat.attention.get()
    }

    fn clock(&self) -> Clock {
        self.seat.clock
    }

    fn name(&self) -> String {
        format!("{}/tokens-per-day", self.seat.region)
    }

    fn renew(&self, member: &mut Member, settings: &Settings) -> (Option<Sent>, bool) {
        let mut is_shared = false;
        let sent = self.with(|state, now| {
            let look = state.look(now)?;
            is_shared = look.shared;
            if let Some(attention) = self.attention() {
                attention.answer();
            }
            if member.is_away() && !look.idle {
                member.wake(&mut NoShares, now, settings);
                state.place.0.as_mut()?.part.ask_anew(now);
            }
            // Where the limit is gone there is a slice to give back.
            let answered = state.place.0.as_ref()?.part.answered_at().is_some();
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
            let award = &answer.day;
            let part = &mut state.place.0.as_mut()?.part;
            part.answered(claim, award, answer.members, sent.at, expires);
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
