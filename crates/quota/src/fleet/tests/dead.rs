//! What becomes of the share of a member that falls silent.

use crate::fleet::{
    ledger::Ledger,
    renewal::{Claim, Renewal},
};

fn renewal(member: u128, sequence: u64, used: u64, reserve: u64) -> Renewal {
    let claim = Claim {
        limit: 100,
        holds: used,
        used,
        demand: 1_000,
        ..Claim::default()
    };
    Renewal {
        member,
        sequence,
        lease: 10_000,
        window: 60_000,
        reserve,
        known: 0,
        silence: 0,
        waited: 0,
        class: 1,
        claims: [Claim::default(), claim],
        day: None,
    }
}

/// Until when the second member gets nothing after the first, which had everything, has fallen silent.
fn waits(reserve: u64) -> u64 {
    let mut ledger = Ledger::default();
    let first = ledger.renew(1_000, &renewal(1, 1, 0, reserve)).unwrap();
    assert_eq!(first.awards[1].share, 100);
    (1..10_000)
        .find(|tenth| {
            let asked = ledger.renew(1_000 + 100 * tenth, &renewal(2, *tenth, 0, reserve));
            asked.unwrap().awards[1].share > 0
        })
        .unwrap()
        * 100
}

/// It may have used it at the last moment of its lease, and then it counts for a window.
#[test]
fn a_share_counts_for_a_window_after_its_lease() {
    assert_eq!(waits(0), 10_000 + 60_600 + 100);
}

/// All of it was its safe share, as it was alone.
#[test]
fn a_safe_share_is_kept_for_as_long_as_it_is_reserved() {
    assert_eq!(waits(60_000), 10_000 + 60_600 + 60_000 + 100);
}

/// Two windows after its lease it goes up to its safe share, and others had what was above its own until then.
#[test]
fn room_is_made_for_a_safe_share_before_it_is_taken() {
    let reserve = 600_000;
    let mut ledger = Ledger::default();
    let modest = Renewal {
        claims: renewal(1, 1, 10, reserve).claims.map(|claim| Claim {
            demand: 10,
            ..claim
        }),
        ..renewal(1, 2, 10, reserve)
    };
    ledger.renew(1_000, &renewal(2, 1, 0, reserve)).unwrap();
    // One of two: its safe share is half of the limit.
    let last = ledger.renew(1_000, &modest).unwrap();
    assert_eq!(last.members, 2);

    let mut shares = Vec::new();
    for second in 1..=120 {
        let held = shares.last().copied().unwrap_or(0);
        let asks = renewal(2, 1 + second, held, reserve);
        let answer = ledger.renew(1_000 + 1_000 * second, &asks).unwrap();
        shares.push(answer.awards[1].share);
    }
    // Within its lease it is known to keep to less.
    assert!(shares[5] > 50, "{shares:?}");
    // A window before it may take it, the other is down to what is left.
    assert!(shares[60..].iter().all(|share| *share <= 50), "{shares:?}");
}
