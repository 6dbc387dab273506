//! What is read off an outage.

use bedrock_sim::LedgerEntry;

use super::Plan;
use crate::{
    load::Sample,
    stats::ratio,
    world::{PRIMARY, came},
};

/// Goodput is taken over so many seconds of arrivals.
const WINDOW: f64 = 30.0;
/// And looked at every so many seconds.
const STEP: f64 = 5.0;
/// What counts as well again, as a share of the calls that came.
const WELL: f64 = 0.95;
/// A run in which the last minutes are not well has collapsed.
const LAST: f64 = 180.0;

/// What is kept of one run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    sent_per_call: f64,
    answered_within: f64,
    recovery: Option<f64>,
    collapsed: bool,
    goodput: Vec<(f64, f64)>,
}

/// What the runs of one client come to, under one kind of fault.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) sent_per_call: f64,
    pub(super) answered_within: f64,
    /// In seconds; `None` for a run that did not recover.
    pub(super) recoveries: Vec<Option<f64>>,
    pub(super) collapsed: usize,
    /// By the second at which a window begins.
    pub(super) goodput: Vec<(f64, f64)>,
}

impl Run {
    pub(super) fn new(samples: &[Sample], ledger: &[LedgerEntry], plan: Plan) -> Self {
        let [from, until, end] = [plan.from, plan.until, plan.end].map(|second| second as f64);
        let within = |at: f64| (from..until).contains(&at);
        let into =
            |entry: &&LedgerEntry| entry.model == PRIMARY && within(came(entry).as_secs_f64());
        let sent = ledger.iter().filter(into).count();
        let made = samples
            .iter()
            .filter(|sample| within(sample.arrived.as_secs_f64()))
            .count();
        let share = |from: f64, until: f64| answered(samples, from, until).unwrap_or(1.0);

        let windows = |from: f64| {
            let count = ((end - WINDOW - from) / STEP) as u32 + 1;
            (0..count).map(move |step| from + f64::from(step) * STEP)
        };
        let recovery = windows(until)
            .find(|at| share(*at, at + WINDOW) >= WELL)
            .map(|at| at - until);
        Self {
            sent_per_call: ratio(sent as f64, made as f64),
            answered_within: share(from, until),
            recovery,
            collapsed: share(end - LAST, end) < WELL,
            goodput: windows(0.0)
                .map(|at| (at, share(at, at + WINDOW)))
                .collect(),
        }
    }
}

/// The share of the calls that came between two seconds, answered in time; `None` where none came.
fn answered(samples: &[Sample], from: f64, until: f64) -> Option<f64> {
    // They are in the order of their arrival.
    let before =
        |second: f64| samples.partition_point(|sample| sample.arrived.as_secs_f64() < second);
    let samples = &samples[before(from)..before(until)];
    let answered = samples
        .iter()
        .filter(|sample| sample.result.is_ok())
        .count();
    (!samples.is_empty()).then(|| answered as f64 / samples.len() as f64)
}

impl Figures {
    pub(super) fn of(runs: &[Run]) -> Self {
        let n = runs.len() as f64;
        let mean = |of: fn(&Run) -> f64| runs.iter().map(of).sum::<f64>() / n;
        let mut goodput: Vec<(f64, f64)> = Vec::new();
        for run in runs {
            for (index, (at, share)) in run.goodput.iter().enumerate() {
                match goodput.get_mut(index) {
                    Some((_, sum)) => *sum += share / n,
                    None => goodput.push((*at, share / n)),
                }
            }
        }
        Self {
            sent_per_call: mean(|run| run.sent_per_call),
            answered_within: mean(|run| run.answered_within),
            recoveries: runs.iter().map(|run| run.recovery).collect(),
            collapsed: runs.iter().filter(|run| run.collapsed).count(),
            goodput,
        }
    }

    pub(super) fn recovery_text(&self) -> String {
        match self
            .recoveries
            .iter()
            .copied()
            .collect::<Option<Vec<f64>>>()
        {
            Some(all) => format!("{:.0}", ratio(all.iter().sum(), all.len() as f64)),
            None => "never".into(),
        }
    }
}
