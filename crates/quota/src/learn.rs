use crate::time::Time;

/// What 429s and calm have taught about one limit, as an amount a period.
///
/// **A 429** multiplies the level by 0.9. Where fewer than ten calls succeeded since the last one, that was
/// not enough; then the level goes to the rate at which calls have succeeded since the throttling began, as
/// far as to a half of itself, and half of the way back within the next calls. Throttles of calls that were sent before the last shrink tell nothing new:
/// they are one congestion event.
///
/// **A call that succeeds** with the limit in use to more than half lets it grow:
/// - back to 0.95 of where it was, by a thirtieth of the way each;
/// - from there by 0.0001, divided by the root of the calls a second. Growing by the call and not by the
///   second keeps the share of calls that are throttled about the same (0.4% to 0.7%) however many
///   processes share the limit without knowing of one another, and the root lets the small ones among them
///   catch up with the large;
/// - after 300 calls, which is about as many as usually succeed, by ever more: the limit has likely been
///   raised. CUBIC (RFC 9438) does so by the time; here ten minutes of calm count as much as the calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learned {
    /// In nanoseconds.
    period: f64,
    level: f64,
    /// Where the level soon gets back to.
    aim: f64,
    /// Calls that succeeded since the last congestion event, and those of them that pressed the limit.
    succeeded: u32,
    pressed: u32,
    last_event: Time,
    /// What has succeeded since throttling began: the last event with enough calls before it.
    accepted: f64,
    throttling_since: Time,
    /// What a call uses, smoothed.
    usual: f64,
    grown_at: Time,
}

const SHRINK: f64 = 0.1;
const LARGEST_SHRINK: f64 = 0.5;
const ENOUGH_CALLS: u32 = 10;

const BACK_TO: f64 = 0.95;
const BACK_IN_CALLS: f64 = 30.0;
const GROWTH: f64 = 0.000_1;
const LARGEST_GROWTH: f64 = 0.05;
const IMPATIENCE: f64 = 0.002;
const USUAL_CALLS: f64 = 300.0;
const USUAL_CALM: f64 = 600.0 * SECOND;

const SECOND: f64 = 1_000_000_000.0;

impl Learned {
    /// The first congestion event: a limit is met at `level`, or a declared one turns out too high. The call
    /// asked for `amount`.
    pub(crate) fn first(level: f64, amount: u64, period: u64, now: Time) -> Self {
        Self {
            period: period as f64,
            level: at_least_one(level * (1.0 - SHRINK)),
            aim: 0.0,
            succeeded: 0,
            pressed: 0,
            last_event: now,
            accepted: 0.0,
            throttling_since: now,
            usual: amount as f64,
            grown_at: now,
        }
    }

    pub(crate) const fn level(&self) -> f64 {
        self.level
    }

    /// The level as a whole number, one at least. `as` saturates.
    pub(crate) const fn whole_level(&self) -> u64 {
        if self.level < 1.0 {
            1
        } else {
            self.level as u64
        }
    }

    /// A call that asked for `amount` and was sent at `sent` was throttled. `from` is where the level stood,
    /// or less where less was in use.
    pub(crate) fn throttled(&mut self, from: f64, amount: u64, sent: Time, now: Time) {
        if sent <= self.last_event {
            return;
        }
        if self.succeeded < ENOUGH_CALLS {
            // This one counts too: it might as well have been let through.
            let accepted = self.accepted + amount as f64;
            let elapsed = now.since(self.throttling_since).max(1) as f64;
            let rate = accepted * (self.period / elapsed);
            let before = self.level;
            let least = self.level * (1.0 - LARGEST_SHRINK);
            self.level = rate.clamp(least, self.level * (1.0 - SHRINK));
            self.aim = before * 0.5 + self.level * 0.5;
        } else {
            self.level = from * (1.0 - SHRINK);
            self.aim = from * BACK_TO;
            self.accepted = 0.0;
            self.throttling_since = now;
        }
        self.level = at_least_one(self.level);
        self.succeeded = 0;
        self.pressed = 0;
        self.last_event = now;
        self.grown_at = now;
    }

    /// A call succeeded that used `amount`.
    pub(crate) fn succeeded(&mut self, pressed: bool, amount: u64, now: Time) {
        let amount = amount as f64;
        self.accepted += amount;
        self.usual += (amount - self.usual) / 16.0;
        self.succeeded = self.succeeded.saturating_add(1);
        if pressed {
            self.pressed = self.pressed.saturating_add(1);
            let back = (self.aim - self.level).max(0.0) / BACK_IN_CALLS;
            self.level = (self.level + back) * (1.0 + self.growth(now));
        }
    }

    fn growth(&self, now: Time) -> f64 {
        let calls_a_second = self.level / self.usual.max(1.0) / (self.period / SECOND);
        let calls = f64::from(self.pressed) / USUAL_CALLS;
        let calm = now.since(self.last_event) as f64 / USUAL_CALM;
        let overdue = (calls.max(calm) - 1.0).max(0.0);
        let growth = GROWTH / calls_a_second.sqrt() + IMPATIENCE * overdue * overdue;
        growth.min(LARGEST_GROWTH)
    }

    /// Declared limits are believed again: after two minutes without a 429 the level takes ten more to
    /// grow by the whole limit, whether or not anybody calls. Answers whether it has arrived.
    pub(crate) fn believe(&mut self, declared: f64, now: Time) -> bool {
        const DOUBT: u64 = 120 * 1_000_000_000;
        const WHOLE_LIMIT: f64 = 600.0 * SECOND;
        let from = self.grown_at.max(self.last_event.plus(DOUBT));
        let calm = now.since(from);
        if calm > 0 {
            self.level += declared * (calm as f64 / WHOLE_LIMIT);
            self.grown_at = now;
        }
        self.level >= declared
    }
}

/// A level below one call or one token a period would never be left again.
const fn at_least_one(level: f64) -> f64 {
    level.max(1.0)
}
