//! The rules one by one, each with the least it takes to show it.

#![cfg(not(loom))]

use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::{Duration, Instant};

use super::{Admission, CallResult, Command, Machine, Outcome};
use crate::{Cause, EventKind, SlidingWindow, State, config::Settings};

const OK: Outcome = Outcome::SUCCESS;
const FAILED: Outcome = Outcome {
    result: CallResult::Failure,
    slow: false,
};
const THROTTLED: Outcome = Outcome {
    result: CallResult::SoftFailure,
    slow: false,
};
const SLOW: Outcome = Outcome {
    result: CallResult::Success,
    slow: true,
};

/// A machine with its settings and a clock that the test moves.
struct Bench {
    config: crate::config::Config,
    machine: Machine,
    now: Instant,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        Self::seeded(settings, 1)
    }

    fn seeded(settings: Settings, seed: u64) -> Self {
        let config = settings.check().unwrap();
        Self {
            machine: Machine::new(&config, SmallRng::seed_from_u64(seed)),
            config,
            now: Instant::now(),
        }
    }

    fn admit(&mut self) -> Admission {
        self.machine.admit(&self.config, self.now).0
    }

    /// A call that is admitted and ends at once.
    fn call(&mut self, outcome: Outcome) -> Option<EventKind> {
        let (Admission::Call { generation } | Admission::Probe { generation }) = self.admit()
        else {
            panic!("refused");
        };
        self.machine
            .record(&self.config, generation, outcome, || self.now)
    }

    fn calls(&mut self, count: usize, outcome: Outcome) {
        for _ in 0..count {
            self.call(outcome);
        }
    }

    fn state(&self) -> State {
        self.machine.state()
    }

    /// Trips it by a failed call and answers how long it opens for.
    fn trip(&mut self) -> Duration {
        match self.call(FAILED) {
            Some(EventKind::Transition {
                open_for: Some(open_for),
                ..
            }) => open_for,
            other => panic!("did not open: {other:?}"),
        }
    }
}

fn cause(event: Option<EventKind>) -> Option<Cause> {
    match event? {
        EventKind::Transition { cause, .. } | EventKind::WouldOpen { cause } => Some(cause),
    }
}

fn by_rate_alone(size: u32) -> Settings {
    Settings {
        consecutive_failures: None,
        window: SlidingWindow::CountBased(size),
        ..Settings::default()
    }
}

#[test]
fn the_defaults_open_after_five_failures_in_a_row() {
    let mut bench = Bench::new(Settings::default());
    bench.calls(4, FAILED);
    bench.call(OK);
    bench.calls(4, FAILED);
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(cause(bench.call(FAILED)), Some(Cause::ConsecutiveFailures));
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn a_soft_failure_neither_adds_to_a_row_of_failures_nor_ends_it() {
    let mut bench = Bench::new(Settings::default());
    bench.calls(50, THROTTLED);
    assert_eq!(bench.state(), State::Closed);
    bench.calls(4, FAILED);
    bench.call(THROTTLED);
    assert_eq!(cause(bench.call(FAILED)), Some(Cause::ConsecutiveFailures));
}

#[test]
fn a_soft_failure_counts_in_the_rate() {
    let mut bench = Bench::new(by_rate_alone(10));
    bench.calls(5, OK);
    bench.calls(4, THROTTLED);
    assert_eq!(cause(bench.call(THROTTLED)), Some(Cause::FailureRate));
}

#[test]
fn the_rate_waits_for_the_minimum_number_of_calls() {
    let mut bench = Bench::new(Settings {
        minimum_number_of_calls: Some(4),
        ..by_rate_alone(10)
    });
    bench.calls(3, FAILED);
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(cause(bench.call(FAILED)), Some(Cause::FailureRate));
}

#[test]
fn a_success_never_opens() {
    let mut bench = Bench::new(by_rate_alone(10));
    bench.calls(9, FAILED);
    assert_eq!(bench.call(OK), None, "completes the minimum at 90%");
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(cause(bench.call(FAILED)), Some(Cause::FailureRate));
}

#[test]
fn slow_calls_open_by_their_own_rate() {
    let mut bench = Bench::new(Settings {
        slow_call_rate: Some(30.0),
        ..by_rate_alone(10)
    });
    bench.calls(7, OK);
    bench.calls(2, SLOW);
    assert_eq!(cause(bench.call(SLOW)), Some(Cause::SlowCallRate));
}

#[test]
fn what_an_open_breaker_knew_stays_to_be_looked_at() {
    let mut bench = Bench::new(Settings::default());
    bench.calls(3, OK);
    bench.calls(5, FAILED);
    let seen = bench.machine.snapshot(&bench.config, bench.now);
    assert_eq!((seen.state, seen.calls, seen.failures), (State::Open, 8, 5));
}

#[test]
fn the_open_interval_grows_to_its_cap_and_starts_over_once_closed() {
    let mut bench = Bench::new(Settings {
        consecutive_failures: Some(1),
        multiplier: 3.0,
        max_wait_duration_in_open_state: Some(Duration::from_secs(500)),
        permitted_in_half_open: 1,
        ..Settings::default()
    });
    for expected in [60, 180, 500, 500] {
        let open_for = bench.trip();
        assert_eq!(open_for, Duration::from_secs(expected));
        bench.now += open_for;
    }
    assert_eq!(cause(bench.call(OK)), Some(Cause::ProbesSucceeded));
    assert_eq!(bench.trip(), Duration::from_secs(60));
}

#[test]
fn jitter_spreads_the_open_interval_and_never_passes_the_cap() {
    let cap = Duration::from_secs(66);
    let settings = Settings {
        consecutive_failures: Some(1),
        randomized_wait_factor: 0.5,
        max_wait_duration_in_open_state: Some(cap),
        ..Settings::default()
    };
    let draws: Vec<Duration> = (0..1_000)
        .map(|seed| Bench::seeded(settings.clone(), seed).trip())
        .collect();
    assert!(
        draws
            .iter()
            .all(|draw| *draw >= Duration::from_secs(30) && *draw <= cap)
    );
    // Evenly spread over 30 to 66 s: each third gets its share, and nothing piles up at the cap.
    for third in 0..3 {
        let range = 30 + third * 12..42 + third * 12;
        let share = draws
            .iter()
            .filter(|draw| range.contains(&draw.as_secs()))
            .count();
        assert!((270..400).contains(&share), "{share} of 1000 in {range:?}");
    }
    assert!(draws.iter().filter(|draw| **draw == cap).count() <= 1);
    assert_eq!(
        draws[7],
        Bench::seeded(settings, 7).trip(),
        "the same seed draws the same"
    );
}

#[test]
fn no_number_of_trips_overflows_the_open_interval() {
    let mut bench = Bench::new(Settings {
        consecutive_failures: Some(1),
        multiplier: 1_000.0,
        ..Settings::default()
    });
    bench.machine.trips = u32::MAX;
    assert_eq!(bench.trip(), Duration::from_secs(600));
}

#[test]
fn metrics_only_reports_once_each_time_a_threshold_is_reached() {
    let mut bench = Bench::new(Settings::default());
    bench.machine.command(Command::MetricsOnly);
    bench.calls(4, FAILED);
    assert_eq!(
        bench.call(FAILED),
        Some(EventKind::WouldOpen {
            cause: Cause::ConsecutiveFailures
        })
    );
    assert_eq!(bench.call(FAILED), None);
    assert_eq!(bench.call(THROTTLED), None);
    assert_eq!(bench.call(FAILED), None);
    bench.call(OK);
    bench.calls(4, FAILED);
    assert_eq!(cause(bench.call(FAILED)), Some(Cause::ConsecutiveFailures));
    assert_eq!(bench.state(), State::MetricsOnly);
}

#[test]
fn disabled_counts_nothing() {
    let mut bench = Bench::new(Settings::default());
    bench.machine.command(Command::Disable);
    bench.calls(100, FAILED);
    let seen = bench.machine.snapshot(&bench.config, bench.now);
    assert_eq!((seen.state, seen.calls), (State::Disabled, 0));
}

#[test]
fn reset_empties_a_closed_window_and_close_leaves_it() {
    let mut bench = Bench::new(Settings::default());
    bench.calls(4, FAILED);
    let Admission::Call { generation } = bench.admit() else {
        panic!("refused");
    };
    assert_eq!(bench.machine.command(Command::Close), None);
    assert_eq!(bench.machine.snapshot(&bench.config, bench.now).calls, 4);
    assert_eq!(bench.machine.command(Command::Reset), None, "no transition");
    assert_eq!(bench.machine.snapshot(&bench.config, bench.now).calls, 0);
    // What was under way when it was reset doesn't count after it.
    bench
        .machine
        .record(&bench.config, generation, FAILED, || bench.now);
    assert_eq!(bench.machine.snapshot(&bench.config, bench.now).calls, 0);
}

#[test]
fn a_target_that_is_called_once_an_hour_is_not_given_up_between_its_probes() {
    let mut bench = Bench::new(Settings {
        permitted_in_half_open: 3,
        failure_threshold: Some(1),
        ..Settings::default()
    });
    bench.calls(5, FAILED);
    for _ in 0..3 {
        bench.now += Duration::from_secs(3_600);
        bench.call(OK);
    }
    assert_eq!(bench.state(), State::Closed);
}

#[test]
fn whatever_is_permitted_and_required_the_probes_decide() {
    for permitted in 1..=20 {
        for percent in [1.0, 33.3, 50.0, 99.0, 100.0] {
            let config = Settings {
                failure_rate: Some(percent),
                permitted_in_half_open: permitted,
                ..Settings::default()
            }
            .check()
            .unwrap();
            let half_open = config.half_open;
            assert!(half_open.success_threshold >= 1 && half_open.failure_threshold >= 1);
            assert_eq!(
                half_open.success_threshold + half_open.failure_threshold,
                permitted + 1,
                "{permitted} probes at {percent}%"
            );
        }
    }
}
