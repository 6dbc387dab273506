//! Debts behind calls that are let through and not sent yet.

use super::*;

#[derive(Clone, Debug)]
enum HeldOp {
    Hold(u64),
    Send(usize),
    Drop(usize),
    Owe(u64),
    Charge(u64),
    Wait(u64),
}

fn held_op() -> impl Strategy<Value = HeldOp> {
    prop_oneof![
        1 => (1..=LIMIT).prop_map(HeldOp::Hold),
        3 => Just(HeldOp::Hold(LIMIT)),
        1 => any::<usize>().prop_map(HeldOp::Send),
        3 => any::<usize>().prop_map(HeldOp::Drop),
        2 => (1..LIMIT * 3).prop_map(HeldOp::Owe),
        4 => Just(HeldOp::Charge(LIMIT)),
        3 => (0..PERIOD * 3).prop_map(HeldOp::Wait),
    ]
}

proptest! {
    /// Calls that are let through and not sent yet keep debts waiting; they make nobody forget them.
    #[test]
    fn a_debt_behind_a_held_call_is_not_forgotten(ops in prop::collection::vec(held_op(), 1..60)) {
        let mut tally = Tally::new(Window::Sliding, PERIOD, 0);
        let mut ledger = Ledger::default();
        let mut held = Vec::new();
        let mut now = 0;
        for op in ops {
            let time = Time::from_nanos(now);
            tally.advance(time, LIMIT);
            match op {
                HeldOp::Hold(amount) if tally.fits(amount, LIMIT) => {
                    tally.hold(amount);
                    held.push(amount);
                }
                HeldOp::Send(which) if !held.is_empty() => {
                    let amount = held.swap_remove(which % held.len());
                    tally.release(amount);
                    tally.charge(time, amount, LIMIT);
                    ledger.charges.push((now, amount));
                }
                HeldOp::Drop(which) if !held.is_empty() => {
                    tally.release(held.swap_remove(which % held.len()));
                }
                HeldOp::Owe(amount) => {
                    tally.owe(time, amount, LIMIT);
                    ledger.overshoots.push((now, amount));
                }
                HeldOp::Charge(amount) if tally.fits(amount, LIMIT) => {
                    tally.charge(time, amount, LIMIT);
                    ledger.charges.push((now, amount));
                    for windows in 1..=6 {
                        let used = ledger.within(windows * PERIOD, now);
                        prop_assert!(used <= windows * LIMIT, "{used} in {windows} windows");
                    }
                }
                HeldOp::Wait(nanos) => now += nanos,
                _ => {}
            }
        }
    }
}

/// What a held call keeps waiting is owed from when it became known, not from when the window fell empty.
#[test]
fn a_debt_that_finds_all_held_waits_for_room() {
    let second = |second: u64| Time::from_nanos(second * 1_000_000_000);
    for earlier in [0, 10] {
        let mut tally = Tally::new(Window::Sliding, PERIOD, 0);
        tally.charge(second(0), LIMIT, LIMIT);
        tally.advance(second(60), LIMIT);
        tally.hold(LIMIT);
        tally.owe(second(61), earlier, LIMIT);
        tally.advance(second(200), LIMIT);
        tally.owe(second(200), 800, LIMIT);
        tally.release(LIMIT);
        tally.advance(second(200), LIMIT);
        assert!(!tally.fits(LIMIT, LIMIT), "{earlier}");
        assert!(tally.used(LIMIT) >= 800, "{earlier}");
        tally.advance(second(260), LIMIT);
        assert!(tally.fits(LIMIT, LIMIT), "{earlier}");
    }
}
