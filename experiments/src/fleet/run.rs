//! What is read off the service's ledger.

use std::ops::Range;

use bedrock_sim::LedgerEntry;
use tokio::time::Duration;

use super::{TOKENS_PER_MINUTE, case::Case};
use crate::{
    stats::ratio,
    world::{came, is_throttled},
};

/// What is read off one run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) case: Case,
    /// The part of the quota used, from minute 3 on.
    pub(super) utilisation: f64,
    /// The part of it that the service had counted as used, on average: what it admits calls by.
    pub(super) level: f64,
    pub(super) throttles_per_answer: f64,
    /// What was asked of the service beyond the limit, and refused.
    pub(super) throttles: u64,
    pub(super) round_trips_per_call: Option<f64>,
    /// The part of the quota used, minute by minute.
    pub(super) minutes: Vec<f64>,
}

impl Run {
    pub(super) fn new(
        case: Case,
        ledger: &[LedgerEntry],
        round_trips: Option<u64>,
        minutes: u64,
    ) -> Self {
        let until = Duration::from_secs(60 * minutes);
        let settled = |from: u64, until: u64| -> f64 {
            let within = |entry: &&LedgerEntry| {
                (60_000 * from..60_000 * until).contains(&entry.at_ms) && !is_throttled(entry)
            };
            ledger.iter().filter(within).map(cost).sum::<u64>() as f64
        };
        let quota = TOKENS_PER_MINUTE as f64;
        let throttled = |entry: &&LedgerEntry| is_throttled(entry);
        let steady = ledger
            .iter()
            .filter(|entry| came(entry) >= Duration::from_secs(180) && came(entry) < until);
        let throttles = steady.clone().filter(throttled).count() as f64;
        let answers = steady.count() as f64 - throttles;
        Self {
            case,
            level: level(ledger, 180..60 * minutes) / quota,
            utilisation: settled(3, minutes) / (quota * (minutes - 3) as f64),
            throttles_per_answer: ratio(throttles, answers),
            throttles: ledger.iter().filter(throttled).count() as u64,
            round_trips_per_call: round_trips.map(|trips| trips as f64 / ledger.len() as f64),
            minutes: (0..minutes)
                .map(|minute| settled(minute, minute + 1) / quota)
                .collect(),
        }
    }
}

/// What the service counted as used, on average over these seconds: in the 60 before each, what calls cost that had
/// ended by then, and what was reserved for those that were under way.
fn level(ledger: &[LedgerEntry], seconds: Range<u64>) -> f64 {
    let count = (seconds.end - seconds.start) as f64;
    let passed: Vec<_> = ledger.iter().filter(|entry| !is_throttled(entry)).collect();
    let at = |second: u64| -> u64 {
        let now = 1_000 * second;
        let within = passed
            .iter()
            .filter(|entry| entry.at_ms <= now && now < entry.at_ms + 60_000);
        let counted = within.map(|entry| match entry.ended_ms {
            Some(ended) if ended <= now => entry.settled,
            _ => entry.reserved,
        });
        counted.sum()
    };
    seconds.map(at).sum::<u64>() as f64 / count
}

/// What a call took off the quota: what it cost, or what is reserved while it is under way.
fn cost(entry: &LedgerEntry) -> u64 {
    if entry.ended_ms.is_some() {
        entry.settled
    } else {
        entry.reserved
    }
}
