use crate::time::Time;

/// What 429s and calm have taught about one limit, as an amount a period: hold a level, and probe for more
/// now and then.
///
/// **A 429** lowers the level by a twentieth, and before any level has held by three: where many processes begin
/// together each hears of few 429s, and is far above its part. Where fewer than ten calls succeeded since the last one, that
/// was not enough; then the level goes to the rate at which calls have succeeded since the throttling began,
/// as far as to a half of itself, and half of the way back within the next calls. Below a twentieth of where
/// it stood it falls by twentieths: a storm that lets nothing through says little of the limit. Throttles of
/// calls that were sent before the last shrink tell nothing new: they are one congestion event.
///
/// **A call that succeeds** with the limit in use to more than half may be the one to probe:
/// - after 650 of them, the fewer the more calls there are a second (by the root), or after 25 minutes. Seldom,
///   because a probe that finds nothing costs a 429 or two, and processes that don't know of one another
///   pay for one another's: so many keep throttles below 1% of the calls whether one process uses the limit
///   or forty do. Drawn from half to one and a half of that, so that they don't all probe at once;
/// - after three, where a storm took it to a twentieth of where it stood and it is not back at half of that:
///   TCP's slow start (RFC 5681). Each probe that ends short of it halves what is taken for where it stood. Where
///   no level has held yet, only a storm that let nothing at all through counts: forty processes that begin
///   together meet no storm but their small parts of one quota.
///
/// **A probe** doubles the level every eight seconds until a 429. Where the calls let through show that there was more, the level stays at nineteen
/// twentieths of their latest rate, on trial for a minute: some of it may have been credit that the service had
/// saved up, so that a 429 within it takes back half of what was gained; down to three quarters of that rate after a
/// storm, for what it left was no level to go back to. Else the level is what it was.
///
/// **What a whole minute let through** before the first 429 is proven: for a minute the level does not fall below nine tenths
/// of it. The 429s of a window that is full, until the calls before have left it, say nothing more than the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learned {
    /// In nanoseconds.
    period: f64,
    level: f64,
    /// Where the level soon gets back to.
    aim: f64,
    /// Where it stood when a storm began.
    remembered: f64,
    /// Whether nothing was let through since, down to the least part of that.
    after_storm: bool,
    /// Whether calls have ever gone at a level for a while. Until then it is where the first 429 came, which may be far
    /// above the limit, or above this process's part of it.
    has_held: bool,
    /// Calls that succeeded since the last congestion event, and those of them that pressed the limit.
    succeeded: u32,
    pressed: u32,
    last_event: Time,
    /// What has succeeded since throttling began: the last event with enough calls before it.
    accepted: f64,
    throttling_since: Time,
    /// What a call uses, smoothed.
    usual: f64,
    believed_at: Time,
    probe: Option<Probe>,
    trial: Option<Trial>,
    proven: Option<Proven>,
}

/// A probe under way.
#[derive(Clone, Copy, Debug)]
struct Probe {
    since: Time,
    grown_at: Time,
    /// The level it started from.
    base: f64,
    /// What has succeeded in it, of late.
    accepted: f64,
    counted_since: Time,
}

/// A level that a probe found.
#[derive(Clone, Copy, Debug)]
struct Trial {
    since: Time,
    /// The level before, or what is left of the new one where that came out of a storm.
    base: f64,
}

/// A level that calls have gone at.
#[derive(Clone, Copy, Debug)]
struct Proven {
    since: Time,
    level: f64,
}

const SHRINK: f64 = 0.05;
const FIRST_SHRINK: f64 = 0.15;
const LARGEST_SHRINK: f64 = 0.5;
const LEAST_OF_REMEMBERED: f64 = 0.05;
const ENOUGH_CALLS: u32 = 10;
const CALLS_AFTER_STORM: u32 = 3;
const LEAST_AFTER_STORM: f64 = 0.75;
const BACK_IN_CALLS: f64 = 30.0;

const PROBE_AFTER_CALLS: f64 = 650.0;
const PROBE_AFTER: f64 = 1_500.0 * SECOND;
const DOUBLES_IN: f64 = 8.0 * SECOND;
const LARGEST_GROWTH: f64 = 0.5;
/// A probe shorter than this has found nothing: what it got was saved up.
const SHORT_PROBE: f64 = 6.0 * SECOND;
const FEW_CALLS: f64 = 5.0;
const TRIAL: f64 = 60.0 * SECOND;
const PROVEN_FOR: f64 = 60.0 * SECOND;
const PROVEN: f64 = 0.9;

const SECOND: f64 = 1_000_000_000.0;

impl Learned {
    /// The first congestion event: a limit is met at `level`, which calls may have gone at for a while, or a
    /// declared one turns out too high. The call asked for `amount`.
    pub(crate) fn first(level: f64, has_held: bool, amount: u64, period: u64, now: Time) -> Self {
        Self {
            period: period as f64,
            level: at_least_one(level * (1.0 - SHRINK)),
            aim: 0.0,
            remembered: level,
            after_storm: false,
            has_held,
            succeeded: 0,
            pressed: 0,
            last_event: now,
            accepted: 0.0,
            throttling_since: now,
            usual: amount as f64,
            believed_at: now,
            probe: None,
            trial: None,
            proven: None,
        }
    }

    /// The first congestion event came after a whole period that let `amount` through.
    pub(crate) fn after_a_period_of(mut self, amount: f64, now: Time) -> Self {
        let level = amount * PROVEN;
        self.proven = Some(Proven { since: now, level });
        self.level = self.level.max(level);
        self
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
        if let Some(probe) = self.probe.take() {
            self.end(probe, now);
        } else if let Some(base) = self.on_trial(now) {
            self.level = base.midpoint(self.level);
            self.aim = 0.0;
        } else if self.succeeded < ENOUGH_CALLS {
            let least = self.remembered * LEAST_OF_REMEMBERED;
            let nothing_passed = if self.has_held {
                self.succeeded == 0
            } else {
                self.accepted == 0.0
            };
            self.after_storm |= nothing_passed && self.level <= least;
            // This one counts too: it might as well have been let through.
            let accepted = self.accepted + amount as f64;
            let elapsed = now.since(self.throttling_since).max(1) as f64;
            let rate = accepted * (self.period / elapsed);
            let before = self.level;
            let most = self.level * (1.0 - self.shrink());
            let least = least.max(self.level * (1.0 - LARGEST_SHRINK));
            self.level = rate.max(least).min(most);
            self.aim = before.midpoint(self.level);
        } else {
            self.remembered = from;
            self.level = from * (1.0 - self.shrink());
            self.aim = 0.0;
            self.after_storm = false;
            self.has_held = true;
            self.start_counting(now);
        }
        self.level = at_least_one(self.level).max(self.proven(now));
        self.succeeded = 0;
        self.pressed = 0;
        self.last_event = now;
        self.believed_at = now;
    }

    /// A call succeeded that used `amount`.
    pub(crate) fn succeeded(&mut self, pressed: bool, amount: u64, now: Time) {
        let amount = amount as f64;
        self.accepted += amount;
        self.usual += (amount - self.usual) / 16.0;
        self.succeeded = self.succeeded.saturating_add(1);
        if let Some(probe) = &mut self.probe {
            probe.accepted += amount;
        }
        if pressed {
            self.pressed = self.pressed.saturating_add(1);
            self.level += (self.aim - self.level).max(0.0) / BACK_IN_CALLS;
            self.grow(now);
        }
    }

    /// Declared limits are believed again: after two minutes without a 429 the level takes ten more to
    /// grow by the whole limit, whether or not anybody calls. Answers whether it has arrived.
    pub(crate) fn believe(&mut self, declared: f64, now: Time) -> bool {
        const DOUBT: u64 = 120 * 1_000_000_000;
        const WHOLE_LIMIT: f64 = 600.0 * SECOND;
        let from = self.believed_at.max(self.last_event.plus(DOUBT));
        let calm = now.since(from);
        if calm > 0 {
            self.level += declared * (calm as f64 / WHOLE_LIMIT);
            self.believed_at = now;
        }
        self.level >= declared
    }

    fn grow(&mut self, now: Time) {
        if self.probe.is_none() && self.is_time_to_probe(now) {
            self.probe = Some(Probe {
                since: now,
                grown_at: now,
                counted_since: now,
                base: self.level,
                accepted: 0.0,
            });
        }
        if let Some(probe) = &mut self.probe {
            let elapsed = now.since(probe.grown_at) as f64;
            probe.grown_at = now;
            if (now.since(probe.counted_since) as f64) > 2.0 * DOUBLES_IN {
                // What is looked for is the rate that it has reached, not the one it came from.
                let age = now.since(probe.counted_since) / 2;
                probe.counted_since = probe.counted_since.plus(age);
                probe.accepted /= 2.0;
            }
            let growth = elapsed / DOUBLES_IN * std::f64::consts::LN_2;
            self.level *= 1.0 + growth.min(LARGEST_GROWTH);
        }
    }

    /// What a 429 takes off the level.
    const fn shrink(&self) -> f64 {
        if self.has_held { SHRINK } else { FIRST_SHRINK }
    }

    fn is_time_to_probe(&self, now: Time) -> bool {
        if self.is_below_storm() {
            return self.pressed >= CALLS_AFTER_STORM;
        }
        let calls_a_second = self.level / self.usual.max(1.0) / (self.period / SECOND);
        let calls = PROBE_AFTER_CALLS / calls_a_second.sqrt();
        let share = self.jitter();
        f64::from(self.pressed) > calls * share
            || now.since(self.last_event) as f64 > PROBE_AFTER * share
    }

    /// Whether a storm has left the level far below where it stood.
    fn is_below_storm(&self) -> bool {
        self.after_storm && self.level < self.remembered / 2.0
    }

    /// From a half to one and a half, another one after each event: processes met theirs at different
    /// nanoseconds.
    fn jitter(&self) -> f64 {
        let mixed = self
            .last_event
            .as_nanos()
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        0.5 + (mixed >> 40) as f64 / f64::from(1 << 24)
    }

    /// A probe has met a 429.
    fn end(&mut self, probe: Probe, now: Time) {
        let elapsed = now.since(probe.since).max(1) as f64;
        let counted = now.since(probe.counted_since).max(1) as f64;
        let rate = probe.accepted * (self.period / counted);
        let is_short = elapsed <= SHORT_PROBE || probe.accepted <= FEW_CALLS * self.usual;
        self.level = probe.base;
        let was_below_storm = self.is_below_storm();
        if !is_short && rate > probe.base {
            self.level = rate * (1.0 - SHRINK);
            let base = if was_below_storm {
                probe.base.max(rate * LEAST_AFTER_STORM)
            } else {
                probe.base
            };
            self.trial = Some(Trial { since: now, base });
        }
        if self.is_below_storm() {
            // It tries again soon, but each time it is less likely that the limit is where it was.
            self.remembered /= 2.0;
        } else {
            self.remembered = self.level;
            self.after_storm = false;
        }
        self.aim = 0.0;
        self.start_counting(now);
    }

    /// The level to fall back to where the present one is on trial.
    fn on_trial(&self, now: Time) -> Option<f64> {
        let trial = self.trial?;
        let is_on = (now.since(trial.since) as f64) < TRIAL && self.level > trial.base;
        is_on.then_some(trial.base)
    }

    /// What the level does not fall below.
    fn proven(&self, now: Time) -> f64 {
        let proven = self.proven.as_ref();
        let proven = proven.filter(|proven| (now.since(proven.since) as f64) < PROVEN_FOR);
        proven.map_or(0.0, |proven| proven.level)
    }

    const fn start_counting(&mut self, now: Time) {
        self.accepted = 0.0;
        self.throttling_since = now;
    }
}

/// A level below one call or one token a period would never be left again.
const fn at_least_one(level: f64) -> f64 {
    level.max(1.0)
}

#[cfg(test)]
mod tests;
