//! The windows against BEDROCK's worked examples, against what each shape promises, and against a model
//! written the other way round: it keeps everything that ever happened and works each answer out from that.

use proptest::prelude::*;

use super::{window::Window, *};

const SHAPES: [WindowShape; 3] = [
    WindowShape::Sliding,
    WindowShape::Fixed,
    WindowShape::Bucket,
];

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn window(shape: WindowShape, limit: u64) -> Window {
    Window::new(shape, MINUTE, limit, 0, at(0))
}

#[test]
fn what_is_not_used_comes_back_at_once() {
    for shape in SHAPES {
        let mut window = window(shape, 10_000);
        let taken = window.take(at(0), 9_000);
        assert_eq!(
            window.room(at(1)),
            if shape == WindowShape::Bucket {
                1_166
            } else {
                1_000
            }
        );
        window.settle(at(1), taken, 1_500);
        assert_eq!(
            window.room(at(1)),
            if shape == WindowShape::Bucket {
                8_666
            } else {
                8_500
            }
        );
    }
}

#[test]
fn what_is_used_beyond_the_reservation_is_debt() {
    for shape in SHAPES {
        let mut window = window(shape, 1_000);
        let taken = window.take(at(0), 1_000);
        window.settle(at(0), taken, 3_500);
        assert_eq!(window.used(at(0)), 3_500, "{shape:?}");
        // A minute later a sliding window has forgotten it; a cycle and a bucket have worked off one limit.
        let left = match shape {
            WindowShape::Sliding => 0,
            WindowShape::Fixed | WindowShape::Bucket => 2_500,
        };
        assert_eq!(window.used(at(60)), left, "{shape:?}");
        assert_eq!(window.used(at(240)), 0, "{shape:?}");
    }
}

#[test]
fn a_sliding_window_forgets_each_event_after_exactly_a_minute() {
    let mut window = window(WindowShape::Sliding, 100);
    window.take(at(0), 60);
    window.take(at(30), 40);
    let just_before = at(60) - Duration::from_nanos(1);
    assert_eq!(window.room(just_before), 0);
    assert_eq!(window.room(at(60)), 60);
    assert_eq!(window.room(at(90)), 100);
}

#[test]
fn a_cycle_admits_two_limits_across_its_edge() {
    let mut window = window(WindowShape::Fixed, 100);
    let early = window.take(at(59), 100);
    assert_eq!(window.room(at(59)), 0);
    assert_eq!(window.room(at(60)), 100);
    window.take(at(60), 100);
    // What was taken in the old cycle is gone with it: giving it back gives the new one nothing.
    window.settle(at(61), early, 0);
    assert_eq!(window.room(at(61)), 0);
}

#[test]
fn a_bucket_refills_to_the_token_and_holds_no_more_than_the_limit() {
    let mut window = window(WindowShape::Bucket, 7);
    window.take(at(0), 7);
    let one_token = MINUTE / 7; // rounded down
    assert_eq!(window.room(one_token), 0);
    assert_eq!(window.room(one_token + Duration::from_nanos(1)), 1);
    assert_eq!(window.room(at(60)), 7);
    assert_eq!(window.room(at(3_600)), 7);
}

#[test]
fn a_window_that_begins_anew_knows_nothing_of_what_was_taken_before() {
    for shape in SHAPES {
        let mut limit = Limit::per(MINUTE, shape);
        limit.set(Some(100), at(0));
        let before = limit.take(at(0), 80);
        limit.reset(at(1));
        limit.take(at(1), 30);
        limit.settle(at(1), before, 10);
        limit.settle(at(1), before, 500);
        assert_eq!(limit.room(at(1)), 70, "{shape:?}");

        // Taken away and set again, likewise.
        let before = limit.take(at(1), 50);
        limit.set(None, at(1));
        assert_eq!(limit.room(at(1)), u64::MAX);
        limit.set(Some(100), at(1));
        limit.settle(at(1), before, 500);
        assert_eq!(limit.room(at(1)), 100, "{shape:?}");
    }
}

#[test]
fn another_limit_keeps_what_is_used() {
    for shape in SHAPES {
        let mut limit = Limit::per(MINUTE, shape);
        limit.set(Some(100), at(0));
        limit.take(at(0), 80);
        limit.set(Some(50), at(0));
        assert_eq!(limit.room(at(0)), 0, "{shape:?}");
        limit.set(Some(1_000), at(0));
        assert_eq!(limit.room(at(0)), 920, "{shape:?}");
    }
}

#[test]
fn huge_amounts_do_not_overflow() {
    for shape in SHAPES {
        let mut window = window(shape, u64::MAX);
        for _ in 0..1_000 {
            let taken = window.take(at(0), u64::MAX);
            window.settle(at(0), taken, u64::MAX);
            let taken = window.take(at(0), 1);
            window.settle(at(0), taken, u64::MAX);
        }
        assert_eq!(window.room(at(1)), 0, "{shape:?}");
        window.used(Duration::MAX);
    }
}

/// All limits give or none does, and the first without room says which it is.
#[test]
fn limits_are_asked_in_order_and_taken_together() {
    let mut quota = Quota::new();
    let mut region_day = day_limit();
    let limits = |requests, tokens, day| ModelSettings {
        requests_per_minute: Some(Some(requests)),
        tokens_per_minute: Some(Some(tokens)),
        tokens_per_day: Some(Some(day)),
        ..ModelSettings::default()
    };
    let cases = [
        (
            limits(0, 0, 0),
            "Too many requests, please wait before trying again.",
        ),
        (
            limits(9, 0, 0),
            "Too many tokens, please wait before trying again.",
        ),
        (
            limits(9, 9, 0),
            "Too many tokens per day, please wait before trying again.",
        ),
    ];
    for (limits, message) in cases {
        quota.set(&limits, at(0));
        let error = quota.reserve(&mut region_day, at(0), 1).unwrap_err();
        assert_eq!(error.message(), message);
        let levels = quota.levels(&mut region_day, at(0));
        let used = [
            levels.requests_per_minute,
            levels.tokens_per_minute,
            levels.tokens_per_day,
        ]
        .map(|level| level.unwrap().used);
        assert_eq!(used, [0, 0, 0]);
    }
    quota.set(&limits(9, 9, 9), at(0));
    region_day.set(Some(5), at(0));
    quota.reserve(&mut region_day, at(0), 5).unwrap();
    let error = quota.reserve(&mut region_day, at(0), 1).unwrap_err();
    assert_eq!(
        error.message(),
        "Too many tokens per day, please wait before trying again."
    );
}

// === against everything that ever happened ===

/// A reservation, and what became of it.
#[derive(Clone, Debug)]
struct Event {
    at: Duration,
    amount: u64,
    settled: Option<(Duration, u64)>,
}

impl Event {
    /// What it has put on the books by `now`, as (when, how much), with what came back left out.
    ///
    /// `comes_back` says whether the unused part of something taken at the first time can be given back at
    /// the second.
    fn booked(
        &self,
        now: Duration,
        comes_back: impl Fn(Duration, Duration) -> bool,
    ) -> Vec<(Duration, u64)> {
        match self.settled.filter(|(when, _)| *when <= now) {
            None => vec![(self.at, self.amount)],
            Some((when, actual)) if actual > self.amount => {
                vec![(self.at, self.amount), (when, actual - self.amount)]
            }
            Some((when, actual)) if comes_back(self.at, when) => vec![(self.at, actual)],
            Some(_) => vec![(self.at, self.amount)],
        }
    }
}

#[derive(Debug, Default)]
struct History {
    events: Vec<Event>,
    /// The same as changes of the level, in the order they happened.
    changes: Vec<(Duration, i128)>,
}

fn used(shape: WindowShape, limit: u64, history: &History, now: Duration) -> u64 {
    let events = &history.events;
    match shape {
        WindowShape::Sliding => events
            .iter()
            .flat_map(|event| event.booked(now, |_, _| true))
            .filter(|(at, _)| *at + MINUTE > now)
            .map(|(_, amount)| amount)
            .sum(),
        WindowShape::Fixed => {
            let cycle = |at: Duration| at.as_secs() / 60;
            let booked: Vec<_> = events
                .iter()
                .flat_map(|event| event.booked(now, |taken, back| cycle(taken) == cycle(back)))
                .collect();
            (0..=cycle(now)).fold(0, |carried: u64, current| {
                let in_it: u64 = booked
                    .iter()
                    .filter(|(at, _)| cycle(*at) == current)
                    .map(|(_, amount)| amount)
                    .sum();
                let at_its_end = carried + in_it;
                if current == cycle(now) {
                    at_its_end
                } else {
                    at_its_end.saturating_sub(limit)
                }
            })
        }
        WindowShape::Bucket => bucket_used(limit, &history.changes, now),
    }
}

/// What was taken, given back and refilled, in the order it happened, in whole parts of a token.
fn bucket_used(limit: u64, changes: &[(Duration, i128)], now: Duration) -> u64 {
    let parts = 60_000_000_000_i128;
    let (mut level, mut last) = (0_i128, Duration::ZERO);
    for (when, change) in changes.iter().chain([&(now, 0)]) {
        let refilled = i128::try_from((*when - last).as_nanos()).unwrap() * i128::from(limit);
        level = (level - refilled).max(0);
        level = (level + change * parts).max(0);
        last = *when;
    }
    u64::try_from((level + parts - 1).div_euclid(parts)).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Reserve(u64),
    /// Of the reservations that are not settled: which, and at how many tokens.
    Settle(prop::sample::Index, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // Whole seconds, so that events meet the edges of windows; and odd spans, so that they do not.
        2 => (0_u64..70).prop_map(|seconds| Step::Wait(seconds * 1_000_000_000)),
        2 => (0_u64..40_000_000_000).prop_map(Step::Wait),
        4 => (1_u64..400).prop_map(Step::Reserve),
        4 => (any::<prop::sample::Index>(), 0_u64..1_500).prop_map(|(which, tokens)| Step::Settle(which, tokens)),
    ]
}

proptest! {
    #[test]
    fn every_shape_agrees_with_everything_that_happened(
        limit in 0_u64..1_000,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        for shape in SHAPES {
            let mut window = window(shape, limit);
            let mut history = History::default();
            let mut open: Vec<(usize, Taken)> = Vec::new();
            let mut now = Duration::ZERO;
            for step in &steps {
                match step {
                    Step::Wait(nanos) => now += Duration::from_nanos(*nanos),
                    Step::Reserve(amount) => {
                        let has_room = used(shape, limit, &history, now) + amount <= limit;
                        prop_assert_eq!(window.room(now) >= *amount, has_room, "{:?}", shape);
                        if has_room {
                            open.push((history.events.len(), window.take(now, *amount)));
                            history.events.push(Event { at: now, amount: *amount, settled: None });
                            history.changes.push((now, i128::from(*amount)));
                        }
                    }
                    Step::Settle(which, actual) if !open.is_empty() => {
                        let (number, taken) = open.swap_remove(which.index(open.len()));
                        window.settle(now, taken, *actual);
                        let event = &mut history.events[number];
                        event.settled = Some((now, *actual));
                        history.changes.push((now, i128::from(*actual) - i128::from(event.amount)));
                    }
                    Step::Settle(..) => {}
                }
                let expected = u128::from(used(shape, limit, &history, now));
                prop_assert_eq!(window.used(now), expected, "{:?} at {:?}", shape, now);
            }
        }
    }

    /// What a sliding window is for: whatever settles when, no 60 seconds admit more than the limit. Here
    /// nothing costs more than was reserved, as that is not the window's to decide.
    #[test]
    fn no_minute_holds_more_than_the_limit(
        limit in 1_u64..1_000,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut window = window(WindowShape::Sliding, limit);
        let mut spent: Vec<(Duration, u64)> = Vec::new();
        let mut open = Vec::new();
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Wait(nanos) => now += Duration::from_nanos(nanos),
                Step::Reserve(amount) if window.room(now) >= amount => {
                    open.push((spent.len(), window.take(now, amount)));
                    spent.push((now, amount));
                }
                Step::Settle(which, actual) if !open.is_empty() => {
                    let (number, taken): (usize, Taken) = open.swap_remove(which.index(open.len()));
                    let cost = actual.min(spent[number].1);
                    window.settle(now, taken, cost);
                    spent[number].1 = cost;
                }
                _ => {}
            }
        }
        for (from, _) in &spent {
            let in_a_minute: u64 = spent
                .iter()
                .filter(|(at, _)| at >= from && *at < *from + MINUTE)
                .map(|(_, amount)| amount)
                .sum();
            prop_assert!(in_a_minute <= limit);
        }
    }
}
