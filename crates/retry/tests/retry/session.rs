//! The state machine against a brute-force model, written from the documentation alone: in whole
//! milliseconds, with its own table, and with the range of what may be drawn in place of a draw.

use proptest::prelude::*;
use rand::Rng;
use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Fault, FaultKind, GaveUp};
use tower_bedrock_retry::{Decision, FixedCycle, Policy, PolicyBuilder, Session};

use crate::common::{Always, millis, rng, target};

const CAP: u64 = 60_000;

/// Immediate retries, base in milliseconds, aligned.
fn row(kind: FaultKind) -> Option<(u32, u64, bool)> {
    match kind.as_str() {
        "throttled_requests" | "throttled_tokens" => Some((0, 1_000, true)),
        "throttled" | "model_overloaded" | "overloaded" | "internal" | "timeout" => {
            Some((0, 1_000, false))
        }
        "model_not_ready" | "too_many_connections" => Some((0, 2_000, false)),
        "unavailable" => Some((1, 2_000, false)),
        "transport" => Some((1, 1_000, false)),
        _ => None,
    }
}

#[derive(Clone, Debug)]
struct Settings {
    max_attempts: u32,
    max_elapsed: Option<u64>,
    min_attempt_time: u64,
    max_retry_after: u64,
    /// When the quota is refreshed, counted from the start of the call.
    refresh: Option<u64>,
    deadline: Option<u64>,
}

#[derive(Clone, Debug)]
struct Step {
    kind: FaultKind,
    retry_after: Option<u64>,
    /// How long the attempt took.
    took: u64,
    draw: Draw,
}

#[derive(Clone, Copy, Debug)]
enum Draw {
    Lowest,
    Highest,
    Any(u64),
}

/// What a decision may be: a delay within the range that still starts in time, or giving up where there
/// is one that does not.
#[derive(Debug)]
struct Allowed {
    delays: Option<(u64, u64)>,
    gave_up: Option<GaveUp>,
    stop: bool,
}

#[derive(Default)]
struct Model {
    faults_met: u32,
    at_once: u32,
    waited: u32,
}

impl Model {
    fn decide(&mut self, settings: &Settings, step: &Step, now: u64) -> Allowed {
        self.faults_met += 1;
        let only = |why| Allowed {
            delays: None,
            gave_up: Some(why),
            stop: false,
        };
        let Some((immediate, base, aligned)) = row(step.kind) else {
            return Allowed {
                delays: None,
                gave_up: None,
                stop: true,
            };
        };
        if self.faults_met == settings.max_attempts {
            return only(GaveUp::MaxAttempts);
        }
        let deadline = settings.deadline.map(|at| {
            at.saturating_sub(now)
                .saturating_sub(settings.min_attempt_time)
        });
        let elapsed = settings.max_elapsed.map(|max| max.saturating_sub(now));
        let (left, why) = match (deadline, elapsed) {
            (None, None) => (u64::MAX, GaveUp::Deadline),
            (Some(left), None) => (left, GaveUp::Deadline),
            (None, Some(left)) => (left, GaveUp::MaxElapsed),
            (Some(d), Some(e)) if d <= e => (d, GaveUp::Deadline),
            (_, Some(left)) => (left, GaveUp::MaxElapsed),
        };
        if let Some(after) = step.retry_after
            && after > 0
            && deadline.is_some_and(|left| after >= left)
        {
            return only(GaveUp::RetryAfter);
        }

        let mut floor = step.retry_after.unwrap_or(0).min(settings.max_retry_after);
        if let Some(refresh) = settings.refresh
            && aligned
        {
            // Walk from one refresh to the next until it lies ahead.
            let next = (0..).map(|n| refresh + 60_000 * n).find(|at| *at > now);
            floor = floor.max(next.unwrap() - now);
        }
        let (low, high) = if floor == 0 && self.at_once < immediate {
            self.at_once += 1;
            (0, 0)
        } else {
            let mut widest = base;
            for _ in 0..self.waited {
                widest = (widest * 2).min(CAP);
            }
            self.waited += 1;
            let beyond_floor = if floor == 0 { 0 } else { floor + base };
            match step.draw {
                Draw::Lowest => (floor, floor),
                Draw::Highest if widest >= floor => (widest, widest),
                Draw::Highest => (floor + base, floor + base),
                Draw::Any(_) => (floor, widest.max(beyond_floor)),
            }
        };
        Allowed {
            delays: (low < left).then(|| (low, high.min(left))),
            gave_up: (high >= left).then_some(why),
            stop: false,
        }
    }
}

impl Allowed {
    fn allows(&self, decision: Decision) -> bool {
        match decision {
            Decision::RetryIn(delay) => self
                .delays
                .is_some_and(|(low, high)| millis(low) <= delay && delay <= millis(high)),
            Decision::GiveUp(why) => self.gave_up == Some(why),
            Decision::Stop => self.stop,
        }
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let maybe = |range| proptest::option::of(range);
    (
        1..8_u32,
        maybe(1..200_000_u64),
        prop_oneof![Just(0), 0..20_000_u64],
        prop_oneof![Just(300_000), 0..100_000_u64],
        maybe(0..60_000_u64),
        maybe(0..200_000_u64),
    )
        .prop_map(
            |(max_attempts, max_elapsed, min_attempt_time, max_retry_after, refresh, deadline)| {
                Settings {
                    max_attempts,
                    max_elapsed,
                    min_attempt_time,
                    max_retry_after,
                    refresh,
                    deadline,
                }
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    (
        proptest::sample::select(FaultKind::ALL.as_slice()),
        proptest::option::weighted(0.3, 0..400_000_u64),
        0..10_000_u64,
        prop_oneof![
            Just(Draw::Lowest),
            Just(Draw::Highest),
            any::<u64>().prop_map(Draw::Any)
        ],
    )
        .prop_map(|(kind, retry_after, took, draw)| Step {
            kind,
            retry_after,
            took,
            draw,
        })
}

fn policy(settings: &Settings, start: Instant) -> Policy {
    let mut builder: PolicyBuilder = Policy::builder()
        .max_attempts(settings.max_attempts)
        .max_elapsed(settings.max_elapsed.map(millis))
        .min_attempt_time(millis(settings.min_attempt_time))
        .max_retry_after(millis(settings.max_retry_after));
    if let Some(refresh) = settings.refresh {
        builder = builder.quota_cycle(FixedCycle::minute(start + millis(refresh)));
    }
    builder.build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_decision_is_one_the_model_allows(
        settings in settings(),
        steps in proptest::collection::vec(step(), 1..8),
    ) {
        let start = Instant::now();
        let policy = policy(&settings, start);
        let deadline = settings.deadline.map(|at| start + millis(at));
        let mut session = Session::new(&policy, deadline, || start);
        let mut model = Model::default();
        let mut now = 0;
        for (n, step) in steps.iter().enumerate() {
            prop_assert_eq!(session.attempts() as usize, n + 1);
            now += step.took;
            let fault = match step.retry_after {
                Some(after) => Fault::new(step.kind).with_retry_after(millis(after)),
                None => Fault::new(step.kind),
            };
            let mut drawn: Box<dyn Rng> = match step.draw {
                Draw::Lowest => Box::new(Always(0)),
                Draw::Highest => Box::new(Always(u64::MAX)),
                Draw::Any(seed) => Box::new(rng(seed)),
            };
            let decision =
                session.decide(&policy, &target(), fault, start + millis(now), &mut *drawn);
            let allowed = model.decide(&settings, step, now);
            prop_assert!(allowed.allows(decision), "{decision:?} at {now}, allowed {allowed:?}");
            let Decision::RetryIn(delay) = decision else {
                break;
            };
            // No attempt starts at the deadline or later.
            if let Some(deadline) = deadline {
                prop_assert!(start + millis(now) + delay < deadline);
            }
            now += u64::try_from(delay.as_millis()).unwrap();
            session.begin_attempt();
        }
    }

    /// Whatever is asked for, nothing panics or overflows.
    #[test]
    fn huge_values_are_only_huge(
        kind in proptest::sample::select(FaultKind::ALL.as_slice()),
        seed in any::<u64>(),
    ) {
        let now = Instant::now();
        let policy = Policy::builder()
            .max_attempts(1_000)
            .max_elapsed(Duration::MAX)
            .max_retry_after(Duration::MAX)
            .min_attempt_time(Duration::MAX)
            .build()
            .unwrap();
        let fault = Fault::new(kind).with_retry_after(Duration::MAX);
        for deadline in [None, Some(now)] {
            let mut session = Session::new(&policy, deadline, || now);
            session.decide(&policy, &target(), fault, now, &mut rng(seed));
        }
    }
}
