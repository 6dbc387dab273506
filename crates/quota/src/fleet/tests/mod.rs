mod day;
mod day_ledger;
mod day_turns;
mod dead;
mod deployments;
mod link;
mod model;
mod script;
#[cfg(feature = "redis-tls")]
mod tls;

#[path = "../../../tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests outside")]
mod redis_server;

use super::renewal::{Claim, Renewal};

/// What is answered with a share of 55 of 100, where nobody else is there.
fn renewal(sequence: u64) -> Renewal {
    let claim = Claim {
        limit: 100,
        demand: 10,
        ..Claim::default()
    };
    Renewal {
        member: 1,
        sequence,
        lease: 10_000,
        window: 60_000,
        reserve: 60_000,
        known: 0,
        silence: 0,
        waited: 0,
        class: 1,
        claims: [Claim::default(), claim],
        day: None,
    }
}
