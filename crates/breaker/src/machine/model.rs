//! The state machine against a model that was written from the rules alone: it remembers every call and every
//! state it was ever in, and works everything out again from that each time it is asked.

#![cfg(not(loom))]

use proptest::{prelude::*, sample::Index};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::{Duration, Instant};

use super::{Admission, CallResult, Command, Machine, Outcome};
use crate::{
    SlidingWindow, State,
    config::{Config, Settings},
};

/// A stretch of time spent in one state.
struct Life {
    state: State,
    began: Instant,
    ended_calls: Vec<(Instant, Outcome)>,
    probes: Vec<(Instant, Fate)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    InFlight,
    GivenBack,
    Succeeded,
    Failed,
}

/// A call that was admitted.
struct Admitted {
    life: usize,
    /// Its number among the probes of that life.
    probe: Option<usize>,
}

struct Model {
    config: Config,
    lives: Vec<Life>,
}

impl Model {
    fn begin(&mut self, state: State, now: Instant) {
        self.lives.push(Life {
            state,
            began: now,
            ended_calls: Vec::new(),
            probes: Vec::new(),
        });
    }

    fn life(&self) -> &Life {
        self.lives.last().unwrap()
    }

    /// Doubles from one second with every opening since the breaker last was anything but open or
    /// half-open, up to five seconds.
    fn open_interval(&self) -> Duration {
        let openings = self
            .lives
            .iter()
            .rev()
            .take_while(|life| matches!(life.state, State::Open | State::HalfOpen))
            .filter(|life| life.state == State::Open)
            .count();
        Duration::from_secs(1 << (openings - 1).min(10)).min(Duration::from_secs(5))
    }

    fn retry_after(&self, now: Instant) -> Option<Duration> {
        let life = self.life();
        match life.state {
            State::Open => Some((life.began + self.open_interval()).saturating_duration_since(now)),
            State::HalfOpen => Some(match self.time_left_for_probes(now) {
                None => Duration::ZERO,
                Some(Duration::ZERO) => Duration::from_secs(1),
                Some(left) => left.min(Duration::from_secs(1)),
            }),
            State::ForcedOpen => None,
            _ => Some(Duration::ZERO),
        }
    }

    fn count_probes(&self, fates: &[Fate]) -> u32 {
        let probes = &self.life().probes;
        probes
            .iter()
            .filter(|(_, fate)| fates.contains(fate))
            .count() as u32
    }

    fn free_places(&self) -> u32 {
        let taken = [Fate::InFlight, Fate::Succeeded, Fate::Failed];
        self.config.half_open.permitted - self.count_probes(&taken)
    }

    fn time_left_for_probes(&self, now: Instant) -> Option<Duration> {
        let last = self.life().probes.iter().map(|(at, _)| *at).max()?;
        (self.free_places() == 0)
            .then(|| (last + self.config.half_open.max_wait).saturating_duration_since(now))
    }

    fn ask(&mut self, now: Instant) -> Option<Admitted> {
        match self.life().state {
            State::Open if self.retry_after(now) == Some(Duration::ZERO) => {
                self.begin(State::HalfOpen, now);
            }
            State::HalfOpen if self.time_left_for_probes(now) == Some(Duration::ZERO) => {
                self.begin(State::Open, now);
            }
            _ => {}
        }
        let free = self.free_places();
        let number = self.lives.len() - 1;
        let life = self.lives.last_mut().unwrap();
        let probe = match life.state {
            State::Open | State::ForcedOpen => return None,
            State::HalfOpen if free == 0 => return None,
            State::HalfOpen => {
                life.probes.push((now, Fate::InFlight));
                Some(life.probes.len() - 1)
            }
            _ => None,
        };
        Some(Admitted {
            life: number,
            probe,
        })
    }

    fn end(&mut self, call: &Admitted, outcome: Option<Outcome>, now: Instant) {
        if call.life != self.lives.len() - 1 {
            return;
        }
        let life = self.lives.last_mut().unwrap();
        match (life.state, outcome) {
            (State::HalfOpen, outcome) => {
                life.probes[call.probe.unwrap()].1 = match outcome {
                    None => Fate::GivenBack,
                    Some(Outcome::SUCCESS) => Fate::Succeeded,
                    Some(_) => Fate::Failed,
                };
                if self.count_probes(&[Fate::Succeeded]) == self.config.half_open.success_threshold
                {
                    self.begin(State::Closed, now);
                } else if self.count_probes(&[Fate::Failed])
                    == self.config.half_open.failure_threshold
                {
                    self.begin(State::Open, now);
                }
            }
            (State::Closed | State::MetricsOnly, Some(outcome)) => {
                life.ended_calls.push((now, outcome));
                let unwell = outcome != Outcome::SUCCESS;
                if life.state == State::Closed && unwell && self.threshold_reached(now) {
                    self.begin(State::Open, now);
                }
            }
            _ => {}
        }
    }

    fn window(&self, now: Instant) -> Vec<Outcome> {
        let calls = &self.life().ended_calls;
        match self.config.window {
            SlidingWindow::CountBased(size) => calls
                .iter()
                .rev()
                .take(size as usize)
                .map(|(_, outcome)| *outcome)
                .collect(),
            SlidingWindow::TimeBased(length) => {
                // Time is cut into buckets from the first call on; the latest 32 are in the window.
                let Some((first, _)) = calls.first() else {
                    return Vec::new();
                };
                let bucket = |at: Instant| (at - *first).as_nanos() / (length / 32).as_nanos();
                calls
                    .iter()
                    .filter(|(at, _)| bucket(now) - bucket(*at) < 32)
                    .map(|(_, outcome)| *outcome)
                    .collect()
            }
        }
    }

    fn failures_in_a_row(&self) -> u32 {
        let calls = self.life().ended_calls.iter().rev();
        calls
            .map(|(_, outcome)| outcome.result)
            .take_while(|result| *result != CallResult::Success)
            .filter(|result| *result == CallResult::Failure)
            .count() as u32
    }

    fn threshold_reached(&self, now: Instant) -> bool {
        let window = self.window(now);
        let enough = window.len() as u64 >= self.config.minimum_number_of_calls;
        let share = |counts: fn(&&Outcome) -> bool| {
            100.0 * window.iter().filter(counts).count() as f64 / window.len() as f64
        };
        let failed = share(|outcome| outcome.result != CallResult::Success);
        let slow = share(|outcome| outcome.slow);
        (self.config.consecutive_failures).is_some_and(|most| self.failures_in_a_row() >= most)
            || enough && self.config.failure_rate.is_some_and(|rate| failed >= rate)
            || enough
                && self
                    .config
                    .slow_calls
                    .is_some_and(|calls| slow >= calls.rate)
    }

    fn command(&mut self, command: Command, now: Instant) {
        if command == Command::Reset || self.life().state != command.state() {
            self.begin(command.state(), now);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Ask,
    /// `None` drops the call.
    End(Index, Option<Outcome>),
    Command(Command),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let result = prop_oneof![
        4 => Just(CallResult::Success),
        4 => Just(CallResult::Failure),
        2 => Just(CallResult::SoftFailure),
    ];
    let outcome =
        (result, prop::bool::weighted(0.2)).prop_map(|(result, slow)| Outcome { result, slow });
    let command = prop::sample::select(vec![
        Command::Close,
        Command::Reset,
        Command::ForceOpen,
        Command::Disable,
        Command::MetricsOnly,
    ]);
    let step = prop_oneof![
        6 => (0..40_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        2 => (0..3_000_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        16 => Just(Step::Ask),
        14 => (any::<Index>(), prop::option::weighted(0.9, outcome))
            .prop_map(|(which, outcome)| Step::End(which, outcome)),
        1 => command.prop_map(Step::Command),
    ];
    prop::collection::vec(step, 1..300)
}

fn configs() -> impl Strategy<Value = Config> {
    let window = prop_oneof![
        (1..12_u32).prop_map(SlidingWindow::CountBased),
        (5..600_u64).prop_map(|ms| SlidingWindow::TimeBased(Duration::from_millis(ms))),
    ];
    let threshold = || prop::option::of(1.0..=100.0);
    (
        prop::option::of(1..5_u32),
        threshold(),
        threshold(),
        window,
        1..12_u32,
        (1..5_u32, any::<Index>(), any::<Index>()),
    )
        .prop_map(
            |(row, failure_rate, slow_call_rate, window, minimum, probes)| {
                let (permitted, success, failure) = probes;
                let success = 1 + success.index(permitted as usize) as u32;
                let failure = 1 + failure.index((permitted + 1 - success) as usize) as u32;
                let minimum = match window {
                    SlidingWindow::CountBased(size) => minimum.min(size),
                    SlidingWindow::TimeBased(_) => minimum,
                };
                let settings = Settings {
                    consecutive_failures: row,
                    failure_rate,
                    slow_call_rate,
                    window,
                    minimum_number_of_calls: Some(minimum),
                    wait_duration_in_open_state: Duration::from_secs(1),
                    multiplier: 2.0,
                    max_wait_duration_in_open_state: Some(Duration::from_secs(5)),
                    permitted_in_half_open: permitted,
                    success_threshold: Some(success),
                    failure_threshold: Some(failure),
                    max_wait_duration_in_half_open_state: Duration::from_millis(1_500),
                    ..Settings::default()
                };
                settings.check().unwrap()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_the_model(config in configs(), steps in steps()) {
        let mut now = Instant::now();
        let mut machine = Machine::new(&config, SmallRng::seed_from_u64(1));
        let mut model = Model { config: config.clone(), lives: Vec::new() };
        model.begin(State::Closed, now);
        let mut calls: Vec<(u64, Admitted)> = Vec::new();

        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                Step::Ask => {
                    let (admission, _) = machine.admit(&config, now);
                    match (admission, model.ask(now)) {
                        (Admission::Call { generation }, Some(admitted)) => {
                            prop_assert!(admitted.probe.is_none());
                            calls.push((generation, admitted));
                        }
                        (Admission::Probe { generation }, Some(admitted)) => {
                            prop_assert!(admitted.probe.is_some());
                            calls.push((generation, admitted));
                        }
                        (Admission::Refused(refusal), None) => {
                            prop_assert_eq!(refusal.state, model.life().state);
                            prop_assert_eq!(refusal.retry_after, model.retry_after(now));
                        }
                        (admission, _) => prop_assert!(false, "{admission:?} is not the model's"),
                    }
                }
                Step::End(which, outcome) if !calls.is_empty() => {
                    let (generation, admitted) = calls.swap_remove(which.index(calls.len()));
                    match outcome {
                        Some(outcome) => {
                            machine.record(&config, generation, outcome, || now);
                        }
                        None => machine.give_back(generation),
                    }
                    model.end(&admitted, outcome, now);
                }
                Step::End(..) => {}
                Step::Command(command) => {
                    machine.command(command);
                    model.command(command, now);
                }
            }

            // The model isn't told of this one: it must make no difference, now or later.
            if machine.ignores_success() {
                let generation = machine.generation();
                let event = machine.record(&config, generation, Outcome::SUCCESS, || now);
                prop_assert_eq!(event, None);
            }

            let seen = machine.snapshot(&config, now);
            prop_assert_eq!(seen.state, model.life().state);
            prop_assert_eq!(seen.generation, model.lives.len() as u64);
            prop_assert_eq!(seen.retry_after, model.retry_after(now));
            if machine.passes_all() {
                let window = model.window(now);
                let count = |counts: fn(&&Outcome) -> bool| window.iter().filter(counts).count();
                prop_assert_eq!(seen.calls, window.len() as u64);
                prop_assert_eq!(
                    seen.failures,
                    count(|outcome| outcome.result != CallResult::Success) as u64
                );
                prop_assert_eq!(seen.slow_calls, count(|outcome| outcome.slow) as u64);
                prop_assert_eq!(seen.consecutive_failures, model.failures_in_a_row());
            }
            if let Some(probes) = seen.probes {
                prop_assert_eq!(probes.free, model.free_places());
                prop_assert_eq!(probes.in_flight, model.count_probes(&[Fate::InFlight]));
                prop_assert_eq!(probes.successes, model.count_probes(&[Fate::Succeeded]));
                prop_assert_eq!(probes.failures, model.count_probes(&[Fate::Failed]));
            }
        }
    }
}
