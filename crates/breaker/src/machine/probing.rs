use tokio::time::{Duration, Instant};

use super::Outcome;
use crate::{Probes, config::HalfOpen};

/// The probes of a half-open breaker.
///
/// A place is taken when a probe is admitted. It is given back when the probe says nothing and kept when it
/// reports, so `free + in flight + successes + failures` is what is permitted, at any time.
#[derive(Debug)]
pub(super) struct Probing {
    rules: HalfOpen,
    free: u32,
    successes: u32,
    failures: u32,
    last_admitted: Option<Instant>,
}

/// What the probes say of the target.
pub(super) enum Decision {
    Recovered,
    Failing,
}

impl Probing {
    pub(super) const fn new(rules: HalfOpen) -> Self {
        Self {
            rules,
            free: rules.permitted,
            successes: 0,
            failures: 0,
            last_admitted: None,
        }
    }

    /// Takes a place, if one is free.
    pub(super) const fn take_place(&mut self, now: Instant) -> bool {
        if self.free == 0 {
            return false;
        }
        self.free -= 1;
        self.last_admitted = Some(now);
        true
    }

    pub(super) const fn give_back(&mut self) {
        self.free += 1;
    }

    /// A probe reports. Its place stays taken.
    pub(super) fn report(&mut self, outcome: Outcome) -> Option<Decision> {
        // A slow probe fails: a target too slow to stay closed hasn't recovered.
        if outcome == Outcome::SUCCESS {
            self.successes += 1;
        } else {
            self.failures += 1;
        }
        if self.successes >= self.rules.success_threshold {
            Some(Decision::Recovered)
        } else if self.failures >= self.rules.failure_threshold {
            Some(Decision::Failing)
        } else {
            None
        }
    }

    /// How long to wait for the probes in flight; `None` while a place is free, for then nobody waits.
    ///
    /// Counted from the last admission: a probe that came late gets its time too, and a target that is
    /// called once an hour isn't given up between its probes.
    pub(super) fn time_left(&self, now: Instant) -> Option<Duration> {
        if self.free > 0 {
            return None;
        }
        let waited = now.saturating_duration_since(self.last_admitted?);
        Some(self.rules.max_wait.saturating_sub(waited))
    }

    pub(super) const fn stand(&self) -> Probes {
        Probes {
            free: self.free,
            in_flight: self.rules.permitted - self.free - self.successes - self.failures,
            successes: self.successes,
            failures: self.failures,
        }
    }
}
