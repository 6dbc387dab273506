#[cfg(feature = "redis")]
mod fleet;
#[cfg(not(feature = "redis"))]
#[path = "alone.rs"]
mod fleet;
#[cfg(feature = "redis")]
mod part;
#[cfg(test)]
mod tests;

use std::sync::{
    Weak,
    atomic::{AtomicBool, Ordering},
};

use tower_bedrock_core::Region;

use self::fleet::{Place, Seat};
#[cfg(feature = "redis")]
pub(crate) use self::part::Part;
use crate::{
    config::Config,
    key::Key,
    meter::{Meter, Reading, Rules},
    sync::{Mutex, MutexGuard},
    time::{Time, nanos},
    window::Window,
};

/// The tokens a day of one Region, shared by all its keys.
///
/// Lock order: a key's own state first, then its day. Nothing takes a key's lock while it holds a day's.
#[derive(Debug)]
pub(crate) struct Day {
    /// Whether there is anything to ask: a limit, or a hold. Without one, calls don't take the lock.
    active: AtomicBool,
    learns: bool,
    state: Mutex<DayState>,
    seat: Seat,
}

#[derive(Debug)]
pub(crate) struct DayState {
    meter: Meter,
    hold: Option<Hold>,
    /// Keys whose next call waits for room here, and since when.
    blocked: Vec<(Time, Weak<Key>)>,
    /// What a fleet leaves of it.
    place: Place,
}

/// After a throttle for tokens a day nobody knows when the day ends, so calls are held for five minutes,
/// and twice as long each time the first call after it is throttled again, up to an hour. After it, one call
/// every ten seconds finds out, until one is answered.
#[derive(Clone, Copy, Debug)]
struct Hold {
    since: Time,
    until: Time,
    in_a_row: u32,
}

const SECOND: u64 = 1_000_000_000;
pub(crate) const DAY: u64 = 24 * 3_600 * SECOND;
const FIRST_HOLD: u64 = 300 * SECOND;
const LONGEST_HOLD: u64 = 3_600 * SECOND;
const BETWEEN_PROBES: u64 = 10 * SECOND;

impl Day {
    pub(crate) fn new(region: &Region, declared: Option<(u64, Window)>, config: &Config) -> Self {
        let (limit, window) = declared.unzip();
        let rules = Rules {
            period: DAY,
            delay_variation: nanos(config.delay_variation),
            // A day's limit is not learnt by its rate: a throttle holds calls instead.
            learns: false,
        };
        Self {
            active: AtomicBool::new(limit.is_some()),
            learns: config.learns,
            state: Mutex::new(DayState {
                meter: Meter::new(limit, window.unwrap_or_default(), rules),
                hold: None,
                blocked: Vec::new(),
                place: Place::new(),
            }),
            seat: Seat::new(region, config.clock),
        }
    }

    /// The state, locked, where there is anything to ask of it.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, DayState>> {
        if !self.active.load(Ordering::Acquire) {
            return None;
        }
        let state = self.state.lock();
        // The limit may have gone while the lock was waited for. What is counted from here on would be counted for good:
        // the call's end finds nothing to tell.
        self.active.load(Ordering::Relaxed).then_some(state)
    }

    pub(crate) fn declare(&self, declared: Option<(u64, Window)>, now: Time) {
        let (limit, window) = declared.unzip();
        let mut state = self.state.lock();
        let window = state.place.window(window.unwrap_or_default());
        state.meter.declare(limit, window, now);
        state.place.declare(limit.unwrap_or(0), now);
        // Calls in flight that a fleet counts are to end there.
        let active = limit.is_some() || state.hold.is_some() || state.place.is_in_use();
        self.active.store(active, Ordering::Release);
        drop(state);
        self.seat.call();
    }

    /// Whether nothing would be lost by forgetting it.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        let mut state = self.state.lock();
        state.advance(now);
        state.meter.is_idle() && state.held_until(now) <= now
    }

    /// Bedrock throttled a call for tokens a day.
    pub(crate) fn throttled(&self, sent: Time, now: Time, retry_after: Option<u64>) {
        if self.learns {
            self.state.lock().throttled(sent, now, retry_after);
            self.active.store(true, Ordering::Release);
            self.seat.call();
        }
    }

    /// Calls wait for room that whoever shares the day out may have.
    pub(crate) fn call(&self) {
        self.seat.call();
    }
}

impl DayState {
    pub(crate) fn advance(&mut self, now: Time) {
        self.meter.advance(now);
        self.place.advance(now);
    }

    pub(crate) fn fits(&self, now: Time, tokens: u64) -> bool {
        self.held_until(now) <= now && self.meter.fits(tokens) && tokens <= self.room()
    }

    pub(crate) const fn most(&self) -> u64 {
        self.meter.most()
    }

    /// What a call leaves here that leaves a share of the day to others.
    pub(crate) fn part(&self, share: f64) -> u64 {
        self.place.to_leave(self.meter.part(share))
    }

    pub(crate) fn available(&self, now: Time) -> u64 {
        if self.held_until(now) > now {
            0
        } else {
            self.meter.available().min(self.room())
        }
    }

    pub(crate) fn opens_at(&self, now: Time, tokens: u64) -> Time {
        let opens = self.meter.opens_at(now, tokens).max(self.held_until(now));
        if tokens > self.room() {
            opens.max(self.place.changes_after(now))
        } else {
            opens
        }
    }

    pub(crate) fn forecast(&self, now: Time, tokens: u64) -> Time {
        let opens = self.meter.forecast(now, tokens).max(self.held_until(now));
        if tokens > self.room() {
            opens.max(self.place.forecast(now))
        } else {
            opens
        }
    }

    /// When those who share the day have said that there will be room, where there is none for a call.
    pub(crate) fn told(&self, tokens: u64) -> Option<Time> {
        (tokens > self.room()).then(|| self.place.told()).flatten()
    }

    /// How the limit stands. In a fleet, what is left to this process is in the place of what is learnt.
    pub(crate) fn reading(&self) -> Reading {
        let reading = self.meter.reading();
        Reading {
            effective: reading
                .effective
                .map(|limit| limit.min(reading.used.saturating_add(self.room()))),
            ..reading
        }
    }

    pub(crate) const fn meter_mut(&mut self) -> &mut Meter {
        &mut self.meter
    }

    /// A call is let through. Where it is the first after a hold, others wait for what becomes of it.
    pub(crate) fn let_through(&mut self, now: Time, tokens: u64) {
        self.place.reserve(tokens, now);
        if let Some(hold) = &mut self.hold {
            hold.until = hold.until.max(now.plus(BETWEEN_PROBES));
        }
    }

    /// A call that was let through has ended, and cost so much of what it had reserved.
    pub(crate) fn ended(&mut self, reserved: u64, cost: u64) {
        self.place.end(reserved, cost);
    }

    pub(crate) fn succeeded(&mut self, sent: Time) {
        if self.hold.is_some_and(|hold| sent > hold.since) {
            self.hold = None;
            self.place.over();
        }
    }

    /// Notes a key to be told when there is room again, what its next call needs, and since when that waits.
    pub(crate) fn tell(&mut self, key: Weak<Key>, tokens: u64, since: Time) {
        self.blocked.push((since, key));
        self.place.wait(tokens, since);
    }

    /// A call was turned away for want of room.
    pub(crate) fn missed(&mut self, tokens: u64) {
        self.place.missed(tokens);
    }

    /// The keys to be told that there may be room; first the one whose next call has waited longest.
    pub(crate) fn take_blocked(&mut self) -> Vec<(Time, Weak<Key>)> {
        self.place.wait_no_more();
        self.blocked.sort_unstable_by_key(|(since, _)| *since);
        std::mem::take(&mut self.blocked)
    }

    fn held_until(&self, now: Time) -> Time {
        self.hold.map_or(now, |hold| hold.until)
    }

    fn throttled(&mut self, sent: Time, now: Time, retry_after: Option<u64>) {
        let in_a_row = match self.hold {
            Some(hold) if sent <= hold.since => return,
            Some(hold) => hold.in_a_row.saturating_add(1),
            None => 0,
        };
        let usual = FIRST_HOLD
            .saturating_mul(1 << in_a_row.min(16))
            .min(LONGEST_HOLD);
        self.hold = Some(Hold {
            since: now,
            // No hint is a promise: a proxy's may be far too long, and nobody would find out before.
            until: now.plus(retry_after.unwrap_or(usual).min(LONGEST_HOLD)),
            in_a_row,
        });
        self.place.held();
    }

    /// What a fleet leaves of it.
    fn room(&self) -> u64 {
        self.place.room(|| self.used())
    }

    /// What this process has used by itself.
    fn used(&self) -> u64 {
        let reading = self.meter.reading();
        reading.used.saturating_add(reading.debt)
    }
}
