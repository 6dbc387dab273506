//! A model written the other way round: it keeps everything that ever happened, and works each answer out
//! from that.

use proptest::prelude::*;

use super::{super::Taken, *};

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
