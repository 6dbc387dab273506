//! What the store of a day answers, claim by claim.

use crate::fleet::{DayAward, DayClaim, day::DayLedger, renewal::Renewal};

const LIMIT: u64 = 1_000;

/// What a member is answered with its renewal of this number.
fn claims(ledger: &mut DayLedger, (member, sequence): (u128, u64), claim: DayClaim) -> DayAward {
    let renewal = Renewal {
        member,
        ..super::renewal(sequence)
    };
    ledger.renew(1_000_000, &renewal, &claim).unwrap().day
}

fn claim(wants: u64, need: u64) -> DayClaim {
    DayClaim {
        limit: LIMIT,
        wants,
        need,
        ..DayClaim::default()
    }
}

#[test]
fn who_came_earlier_has_what_it_needs_before_others() {
    let mut ledger = DayLedger::default();
    let used = DayClaim {
        spent: 600,
        ..claim(0, 0)
    };
    claims(&mut ledger, (1, 1), used);
    let large = claims(&mut ledger, (2, 1), claim(500, 500));
    assert_eq!(large.holds, 100);
    let small = claims(&mut ledger, (3, 1), claim(100, 0));
    assert_eq!(small.holds, 0);
}

/// Nobody waits for what can never be had.
#[test]
fn a_need_beyond_the_limit_is_in_nobodys_way() {
    let mut ledger = DayLedger::default();
    claims(&mut ledger, (1, 1), claim(0, 0));
    let before_it_was_lowered = DayClaim {
        limit: 3 * LIMIT,
        ..claim(2 * LIMIT, 2 * LIMIT)
    };
    let large = claims(&mut ledger, (2, 1), before_it_was_lowered);
    assert_eq!(large.holds, LIMIT / 4);
    let small = claims(&mut ledger, (1, 2), claim(100, 0));
    assert_eq!(small.holds, 100);
}
