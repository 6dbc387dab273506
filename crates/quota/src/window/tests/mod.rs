//! Every shape against a ledger that keeps everything and adds it up anew each time.

mod held;
mod late;

use proptest::prelude::*;

use super::*;

const PERIOD: u64 = 60_000_000_000;
const WIDTH: u64 = PERIOD.div_ceil(126);

/// All that was charged, and when.
#[derive(Default)]
struct Ledger {
    charges: Vec<(u64, u64)>,
    overshoots: Vec<(u64, u64)>,
}

impl Ledger {
    /// What was used in the span of nanoseconds that ends at `now`, its start left out.
    fn within(&self, span: u64, now: u64) -> u64 {
        let all = self.charges.iter().chain(&self.overshoots);
        all.filter(|(at, _)| at + span > now)
            .map(|(_, amount)| amount)
            .sum()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Charge(u64),
    GiveBack { which: usize, percent: u64 },
    Owe(u64),
    Wait(u64),
}

const LIMIT: u64 = 1_000;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..=LIMIT).prop_map(Op::Charge),
        4 => (0..LIMIT / 20).prop_map(Op::Charge),
        3 => (any::<usize>(), 0..=100_u64).prop_map(|(which, percent)| Op::GiveBack { which, percent }),
        1 => (0..LIMIT * 3).prop_map(Op::Owe),
        4 => (0..WIDTH * 2).prop_map(Op::Wait),
        2 => (0..PERIOD).prop_map(Op::Wait),
        1 => (0..PERIOD * 5).prop_map(Op::Wait),
    ]
}

proptest! {
    #[test]
    fn sliding_is_never_above_the_limit_in_any_window(ops in prop::collection::vec(op(), 1..300)) {
        let mut tally = Sliding::new(PERIOD);
        let mut ledger = Ledger::default();
        let mut slots = Vec::new();
        let mut now = 0;
        for op in ops {
            let time = Time::from_nanos(now);
            tally.advance(time, LIMIT);
            match op {
                Op::Charge(amount) if tally.fits(amount, LIMIT) => {
                    slots.push(tally.charge(time, amount));
                    ledger.charges.push((now, amount));
                    for windows in 1..=6 {
                        let used = ledger.within(windows * PERIOD, now);
                        prop_assert!(used <= windows * LIMIT, "{used} in {windows} windows");
                    }
                }
                Op::Charge(amount) => {
                    let used = ledger.within(PERIOD + WIDTH, now);
                    if ledger.overshoots.is_empty() {
                        prop_assert!(used + amount > LIMIT, "refused {amount} with {used} in use");
                    }
                }
                Op::GiveBack { which, percent } => {
                    if !slots.is_empty() {
                        let which = which % slots.len();
                        let back = ledger.charges[which].1 * percent / 100;
                        tally.give_back(slots[which], back);
                        ledger.charges[which].1 -= back;
                    }
                }
                Op::Owe(amount) => {
                    tally.owe(time, amount, LIMIT);
                    ledger.overshoots.push((now, amount));
                }
                Op::Wait(nanos) => now += nanos,
            }
        }
        // Debts are paid at a limit a window, and then the whole limit is free.
        let owed: u64 = ledger.overshoots.iter().map(|(_, amount)| amount).sum();
        now += (owed / LIMIT + 3) * PERIOD;
        tally.advance(Time::from_nanos(now), LIMIT);
        prop_assert_eq!((tally.used(), tally.debt()), (0, 0));
        prop_assert!(tally.fits(LIMIT, LIMIT));
    }

    #[test]
    fn sliding_opens_when_it_says(ops in prop::collection::vec(op(), 1..100), amount in 1..=LIMIT) {
        let mut tally = Sliding::new(PERIOD);
        let mut slots = Vec::new();
        let mut now = Time::ZERO;
        for op in ops {
            tally.advance(now, LIMIT);
            match op {
                Op::Charge(amount) if tally.fits(amount, LIMIT) => slots.push((tally.charge(now, amount), amount)),
                Op::Charge(_) => {}
                Op::GiveBack { which, percent } if !slots.is_empty() => {
                    let which = which % slots.len();
                    let back = slots[which].1 * percent / 100;
                    tally.give_back(slots[which].0, back);
                    slots[which].1 -= back;
                }
                Op::GiveBack { .. } => {}
                Op::Owe(amount) => tally.owe(now, amount, LIMIT),
                Op::Wait(nanos) => now = now.plus(nanos),
            }
        }
        tally.advance(now, LIMIT);
        let opens = tally.ready_at(now, amount, LIMIT, 0);
        if opens > now && tally.debt() == 0 {
            let mut before = tally.clone();
            before.advance(Time::from_nanos(opens.as_nanos() - 1), LIMIT);
            prop_assert!(!before.fits(amount, LIMIT), "too late");
        }
        // Debt is booked when somebody looks, so it may take a look at each window to get through it.
        for _ in 0..200 {
            if tally.fits(amount, LIMIT) {
                break;
            }
            let opens = tally.ready_at(now, amount, LIMIT, 0);
            prop_assert!(opens > now);
            now = opens;
            tally.advance(now, LIMIT);
        }
        prop_assert!(tally.fits(amount, LIMIT));
    }

    #[test]
    fn fixed_is_never_above_the_limit_in_a_cycle(ops in prop::collection::vec(op(), 1..300)) {
        let mut tally = Fixed::new(PERIOD);
        let mut ledger = Ledger::default();
        let mut cycles = Vec::new();
        let mut now = 0;
        for op in ops {
            let time = Time::from_nanos(now);
            tally.advance(time, LIMIT);
            let into_cycle = now % PERIOD + 1;
            match op {
                Op::Charge(amount) => {
                    let fits = tally.fits(amount, LIMIT);
                    if ledger.overshoots.is_empty() {
                        prop_assert_eq!(fits, ledger.within(into_cycle, now) + amount <= LIMIT);
                    }
                    if fits {
                        cycles.push(tally.charge(amount));
                        ledger.charges.push((now, amount));
                        for cycle in 0..6 {
                            let used = ledger.within(into_cycle + cycle * PERIOD, now);
                            prop_assert!(used <= (cycle + 1) * LIMIT);
                        }
                    } else {
                        let opens = tally.ready_at(time, amount, LIMIT, 0);
                        let mut then = tally;
                        then.advance(opens, LIMIT);
                        prop_assert!(then.fits(amount, LIMIT));
                        then = tally;
                        then.advance(Time::from_nanos(opens.as_nanos() - 1), LIMIT);
                        prop_assert!(!then.fits(amount, LIMIT));
                    }
                }
                Op::GiveBack { which, percent } => {
                    if !cycles.is_empty() {
                        let which = which % cycles.len();
                        let back = ledger.charges[which].1 * percent / 100;
                        tally.give_back(cycles[which], back);
                        // In a later cycle it is nothing; in the ledger it may count for less.
                        ledger.charges[which].1 -= back;
                    }
                }
                Op::Owe(amount) => {
                    tally.owe(amount, LIMIT);
                    ledger.overshoots.push((now, amount));
                }
                Op::Wait(nanos) => now += nanos,
            }
        }
    }

    /// The bucket as AWS tells it: so many tokens there, more of them all the time, never more than the
    /// limit. In tokens times nanoseconds, exact.
    #[test]
    fn bucket_is_the_textbooks(ops in prop::collection::vec(op(), 1..300)) {
        let period = i128::from(PERIOD);
        let full = i128::from(LIMIT) * period;
        let mut there = full;
        let mut tally = Bucket::new(PERIOD, 0);
        let mut charges = Vec::new();
        let mut now = 0;
        for op in ops {
            let time = Time::from_nanos(now);
            tally.advance(time, LIMIT);
            match op {
                Op::Charge(amount) => {
                    let wanted = i128::from(amount) * period;
                    let fits = tally.fits(amount, LIMIT);
                    prop_assert_eq!(fits, wanted <= there);
                    if fits {
                        tally.charge(time, amount, LIMIT);
                        there -= wanted;
                        charges.push(amount);
                    } else {
                        let opens = tally.ready_at(time, amount, LIMIT, LIMIT);
                        let refilled = i128::from(opens.since(time)) * i128::from(LIMIT);
                        prop_assert!(there + refilled >= wanted);
                        prop_assert!(there + refilled - i128::from(LIMIT) < wanted);
                    }
                }
                Op::GiveBack { which, percent } => {
                    if !charges.is_empty() {
                        let which = which % charges.len();
                        let back = charges[which] * percent / 100;
                        tally.give_back(back);
                        charges[which] -= back;
                        there = (there + i128::from(back) * period).min(full);
                    }
                }
                Op::Owe(amount) => {
                    tally.charge(time, amount, LIMIT);
                    there -= i128::from(amount) * period;
                }
                Op::Wait(nanos) => {
                    now += nanos;
                    there = (there + i128::from(nanos) * i128::from(LIMIT)).min(full);
                }
            }
        }
    }
}

/// Numbers below a bound, the same each time.
fn numbers() -> impl FnMut(u64) -> u64 {
    let mut random = 1_u64;
    move |below| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    }
}

/// A schedule that the sliding window lets through overfills neither a bucket nor a cycle, wherever that
/// one starts; so `Sliding` is the default.
#[test]
fn sliding_is_safe_against_the_other_shapes() {
    let mut sliding = Sliding::new(PERIOD);
    let mut bucket = Bucket::new(PERIOD, 0);
    let mut draw = numbers();
    let mut charges = Vec::new();
    let mut now = 0;
    for _ in 0..20_000 {
        now += draw(PERIOD / 20);
        let time = Time::from_nanos(now);
        let amount = draw(LIMIT / 2);
        sliding.advance(time, LIMIT);
        bucket.advance(time, LIMIT);
        if sliding.fits(amount, LIMIT) {
            sliding.charge(time, amount);
            assert!(bucket.fits(amount, LIMIT));
            bucket.charge(time, amount, LIMIT);
            charges.push((now, amount));
        }
    }
    for phase in (0..PERIOD).step_by(PERIOD as usize / 7) {
        let mut cycles = std::collections::BTreeMap::<u64, u64>::new();
        for (at, amount) in &charges {
            *cycles.entry((at + phase) / PERIOD).or_default() += amount;
        }
        assert!(cycles.values().all(|used| *used <= LIMIT));
    }
}

#[test]
fn steady_traffic_gets_the_whole_limit_but_for_a_slot() {
    let mut tally = Sliding::new(PERIOD);
    let mut let_through = 0;
    // Ten times as much as fits, an hour long.
    for step in 0..60 * 10_000 {
        let now = Time::from_nanos(step * PERIOD / 10_000);
        tally.advance(now, LIMIT);
        if tally.fits(1, LIMIT) {
            tally.charge(now, 1);
            let_through += 1;
        }
    }
    assert!(let_through >= 60 * LIMIT * 992 / 1_000, "{let_through}");
    assert!(let_through <= 60 * LIMIT, "{let_through}");
}

#[test]
fn huge_amounts_and_the_end_of_time_overflow_nothing() {
    let end = Time::from_nanos(u64::MAX);
    for window in [Window::Sliding, Window::Fixed, Window::Bucket] {
        for (limit, delay) in [(1, 0), (crate::Limits::MAX, 0), (1, u64::MAX)] {
            let mut tally = Tally::new(window, PERIOD, delay);
            tally.advance(Time::ZERO, limit);
            let slot = tally.charge(Time::ZERO, u64::MAX, limit);
            tally.owe(Time::ZERO, u64::MAX, limit);
            tally.owe(Time::ZERO, u64::MAX, limit);
            assert!(!tally.fits(1, limit));
            assert!(tally.ready_at(Time::ZERO, u64::MAX, limit) > Time::ZERO);
            tally.advance(end, limit);
            let _ = (tally.used(limit), tally.debt(limit));
            tally.charge(end, u64::MAX, limit);
            tally.give_back(slot, u64::MAX);
            tally.advance(Time::ZERO, limit);
        }
    }
}
