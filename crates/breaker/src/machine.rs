//! The breaker of one key as a state machine: what happened and when goes in, what to do comes out. It knows
//! nothing of Tower, reads no clock and takes no lock.

mod message;
#[cfg(test)]
mod model;
mod probing;
#[cfg(test)]
mod tests;

use rand::rngs::SmallRng;
use tokio::time::{Duration, Instant};

pub(crate) use self::message::{Admission, CallResult, Command, Outcome, Refusal};
use self::probing::{Decision, Probing};
use crate::{
    Cause, EventKind, Snapshot, State,
    config::Config,
    window::{Tally, Totals, Window},
};

#[derive(Debug)]
pub(crate) struct Machine {
    phase: Phase,
    /// Counts the transitions. A permit carries the one it was given in: what was admitted before a
    /// transition is told from what was admitted after it, and never counts.
    generation: u64,
    window: Window,
    consecutive_failures: u32,
    trips: u32,
    not_permitted: u64,
    /// While it only takes metrics: whether a threshold is reached at the moment, so that it is reported
    /// once and not with every call.
    would_open: bool,
    random: SmallRng,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen(Probing),
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

impl Machine {
    pub(crate) fn new(config: &Config, random: SmallRng) -> Self {
        Self {
            phase: Phase::Closed,
            generation: 1,
            window: Window::new(config.window),
            consecutive_failures: 0,
            trips: 0,
            not_permitted: 0,
            would_open: false,
            random,
        }
    }

    #[inline]
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) const fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::Disabled => State::Disabled,
            Phase::MetricsOnly => State::MetricsOnly,
        }
    }

    /// Whether every call passes, so that none needs to ask.
    #[inline]
    pub(crate) const fn passes_all(&self) -> bool {
        matches!(
            self.phase,
            Phase::Closed | Phase::Disabled | Phase::MetricsOnly
        )
    }

    /// Whether recording a [success](Outcome::SUCCESS) would leave everything as it is.
    #[inline]
    pub(crate) fn ignores_success(&self) -> bool {
        match self.phase {
            Phase::Closed | Phase::MetricsOnly => {
                self.consecutive_failures == 0 && self.window.is_full_of_successes()
            }
            Phase::Disabled => true,
            Phase::Open { .. } | Phase::HalfOpen(_) | Phase::ForcedOpen => false,
        }
    }

    /// A call asks to pass.
    pub(crate) fn admit(
        &mut self,
        config: &Config,
        now: Instant,
    ) -> (Admission, Option<EventKind>) {
        let event = match &self.phase {
            Phase::Open { until } if *until <= now => {
                let probing = Probing::new(config.half_open);
                Some(self.enter(Phase::HalfOpen(probing), Cause::OpenIntervalOver))
            }
            Phase::HalfOpen(probing) if probing.time_left(now) == Some(Duration::ZERO) => {
                Some(self.open(config, Cause::ProbesLost, now))
            }
            _ => None,
        };
        let generation = self.generation;
        let probe = match &mut self.phase {
            Phase::HalfOpen(probing) => probing.take_place(now),
            _ => false,
        };
        let admission = if probe {
            Admission::Probe { generation }
        } else if self.passes_all() {
            Admission::Call { generation }
        } else {
            self.not_permitted += 1;
            Admission::Refused(Refusal {
                state: self.state(),
                retry_after: self.retry_after(config, now),
            })
        };
        (admission, event)
    }

    /// A call that was admitted in `generation` ended.
    ///
    /// `now` is asked at most once, and not at all for a plain success in a window that counts calls.
    #[inline]
    pub(crate) fn record(
        &mut self,
        config: &Config,
        generation: u64,
        outcome: Outcome,
        now: impl FnOnce() -> Instant,
    ) -> Option<EventKind> {
        if generation != self.generation {
            return None;
        }
        match &mut self.phase {
            Phase::Closed => {
                let (now, cause) = self.count(config, outcome, now)?;
                cause.map(|cause| self.open(config, cause, now))
            }
            Phase::MetricsOnly => {
                let (_, cause) = self.count(config, outcome, now)?;
                let reported = std::mem::replace(&mut self.would_open, cause.is_some());
                cause
                    .filter(|_| !reported)
                    .map(|cause| EventKind::WouldOpen { cause })
            }
            Phase::HalfOpen(probing) => match probing.report(outcome)? {
                Decision::Recovered => Some(self.close(Cause::ProbesSucceeded)),
                Decision::Failing => Some(self.open(config, Cause::ProbesFailed, now())),
            },
            // The first two admit nobody, so nothing of their generation can end.
            Phase::Open { .. } | Phase::ForcedOpen | Phase::Disabled => None,
        }
    }

    /// A probe that was admitted in `generation` says nothing: it was dropped, or its outcome is ignored.
    pub(crate) fn give_back(&mut self, generation: u64) {
        if let Phase::HalfOpen(probing) = &mut self.phase
            && generation == self.generation
        {
            probing.give_back();
        }
    }

    pub(crate) fn command(&mut self, command: Command) -> Option<EventKind> {
        let from = self.state();
        if from == command.state() && command != Command::Reset {
            return None;
        }
        let phase = match command {
            Command::Close | Command::Reset => Phase::Closed,
            Command::ForceOpen => Phase::ForcedOpen,
            Command::Disable => Phase::Disabled,
            Command::MetricsOnly => Phase::MetricsOnly,
        };
        let event = self.enter(phase, Cause::Operator);
        self.trips = 0;
        if command == Command::Reset {
            self.not_permitted = 0;
        }
        (from != self.state()).then_some(event)
    }

    /// How long until a call could pass: zero where it could now, `None` where only an operator can let it.
    pub(crate) fn retry_after(&self, config: &Config, now: Instant) -> Option<Duration> {
        match &self.phase {
            Phase::Closed | Phase::Disabled | Phase::MetricsOnly => Some(Duration::ZERO),
            Phase::Open { until } => Some(until.saturating_duration_since(now)),
            Phase::HalfOpen(probing) => match probing.time_left(now) {
                None => Some(Duration::ZERO),
                // Nobody knows when the probes report. If they fail or are lost, it opens again, for this
                // long at least.
                Some(Duration::ZERO) => Some(config.open_interval.base),
                Some(left) => Some(left.min(config.open_interval.base)),
            },
            Phase::ForcedOpen => None,
        }
    }

    pub(crate) fn snapshot(&mut self, config: &Config, now: Instant) -> Snapshot {
        let Totals {
            calls,
            failures,
            slow,
        } = self.window.totals(now);
        Snapshot {
            state: self.state(),
            generation: self.generation,
            calls,
            failures,
            slow_calls: slow,
            consecutive_failures: self.consecutive_failures,
            trips: self.trips,
            not_permitted: self.not_permitted,
            probes: match &self.phase {
                Phase::HalfOpen(probing) => Some(probing.stand()),
                _ => None,
            },
            retry_after: self.retry_after(config, now),
        }
    }

    /// Counts a call in the window. Answers `None` for a plain success, and otherwise which threshold is
    /// reached, if one is.
    ///
    /// A success never opens a breaker, even where it is the one that completes the minimum number of calls:
    /// the next call that isn't one will.
    #[inline]
    fn count(
        &mut self,
        config: &Config,
        outcome: Outcome,
        now: impl FnOnce() -> Instant,
    ) -> Option<(Instant, Option<Cause>)> {
        match outcome.result {
            CallResult::Success => self.consecutive_failures = 0,
            CallResult::Failure => {
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
            }
            CallResult::SoftFailure => {}
        }
        let tally = Tally {
            failed: outcome.result != CallResult::Success,
            slow: outcome.slow,
        };
        if outcome == Outcome::SUCCESS {
            self.window.add(tally, now);
            return None;
        }
        let now = now();
        self.window.add(tally, || now);
        let totals = self.window.totals(now);
        Some((now, self.threshold_reached(config, totals)))
    }

    fn threshold_reached(&self, config: &Config, totals: Totals) -> Option<Cause> {
        let reached = |part: u64, percent: f64| {
            totals.calls >= config.minimum_number_of_calls
                && part as f64 * 100.0 >= percent * totals.calls as f64
        };
        if config
            .consecutive_failures
            .is_some_and(|most| self.consecutive_failures >= most)
        {
            Some(Cause::ConsecutiveFailures)
        } else if config
            .failure_rate
            .is_some_and(|percent| reached(totals.failures, percent))
        {
            Some(Cause::FailureRate)
        } else if config
            .slow_calls
            .is_some_and(|slow| reached(totals.slow, slow.rate))
        {
            Some(Cause::SlowCallRate)
        } else {
            None
        }
    }

    fn open(&mut self, config: &Config, cause: Cause, now: Instant) -> EventKind {
        self.trips = self.trips.saturating_add(1);
        let interval = config.open_interval.of_trip(self.trips, &mut self.random);
        let mut event = self.enter(
            Phase::Open {
                until: now + interval,
            },
            cause,
        );
        if let EventKind::Transition { open_for, .. } = &mut event {
            *open_for = Some(interval);
        }
        event
    }

    fn close(&mut self, cause: Cause) -> EventKind {
        self.trips = 0;
        self.enter(Phase::Closed, cause)
    }

    /// Every change of phase goes through here: a new generation, and nothing counted in it yet. Where calls
    /// are turned away, nothing will be counted either, so the window stays as it was for people to look at.
    fn enter(&mut self, phase: Phase, cause: Cause) -> EventKind {
        let from = self.state();
        self.phase = phase;
        self.generation += 1;
        if self.passes_all() {
            self.window.clear();
            self.consecutive_failures = 0;
            self.would_open = false;
        }
        EventKind::Transition {
            from,
            to: self.state(),
            cause,
            open_for: None,
        }
    }
}
