//! What is read off a morning.

use bedrock_sim::LedgerEntry;

use super::Morning;
use crate::{
    load::Sample,
    stats::{Estimate, estimate, quantile, ratio},
    world::{FALLBACK, PRIMARY, TOKENS_PER_MINUTE, came, is_throttled},
};

/// One run of one client.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) samples: Vec<Sample>,
    pub(super) ledger: Vec<LedgerEntry>,
}

/// What all runs of one client come to, for each run.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) rush: Rush,
    pub(super) whole: Whole,
    pub(super) answers_by_minute: Vec<f64>,
    pub(super) throttled_by_minute: Vec<f64>,
}

/// The time when ten times the quota is asked for.
#[derive(Clone, Debug)]
pub(super) struct Rush {
    /// Share of the calls that came, answered in time.
    pub(super) answered: Estimate,
    /// Share of the costliest fifth of them, answered in time.
    pub(super) costliest_answered: f64,
    pub(super) throttles_per_answer: f64,
    /// Share of the calls sent to Bedrock that brought no answer in time.
    pub(super) sent_in_vain: f64,
    /// Share of the primary model's quota that was charged for, whether anybody got the answer or not.
    pub(super) quota_used: f64,
    /// The same of its stand-in.
    pub(super) fallback_used: f64,
    /// Share of all that was charged for, that nobody got.
    pub(super) wasted: f64,
    /// In seconds, of those answered.
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// The whole of it, for each run.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) made: f64,
    pub(super) answers: Estimate,
    pub(super) sent: f64,
    pub(super) throttles: f64,
    pub(super) abandoned: f64,
}

impl Figures {
    pub(super) fn of(runs: &[Run], morning: Morning) -> Self {
        Self {
            rush: Rush::of(runs, morning),
            whole: Whole::of(runs),
            answers_by_minute: by_minute(runs, morning, |run| {
                let answers = run.samples.iter().filter(|sample| sample.result.is_ok());
                answers
                    .map(|sample| sample.finished.as_secs_f64())
                    .collect()
            }),
            throttled_by_minute: by_minute(runs, morning, |run| {
                let throttled = run.ledger.iter().filter(|entry| is_throttled(entry));
                throttled.map(|entry| came(entry).as_secs_f64()).collect()
            }),
        }
    }
}

impl Rush {
    fn of(runs: &[Run], morning: Morning) -> Self {
        let rush = morning.rush * 60.0..morning.calm * 60.0;
        let samples = |run: &Run| -> Vec<Sample> {
            let came = |sample: &Sample| rush.contains(&sample.arrived.as_secs_f64());
            run.samples
                .iter()
                .filter(|sample| came(sample))
                .copied()
                .collect()
        };
        let answers = |run: &Run| {
            samples(run)
                .iter()
                .filter(|sample| sample.result.is_ok())
                .count() as f64
        };
        let sent: Vec<&LedgerEntry> = (runs.iter().flat_map(|run| &run.ledger))
            .filter(|entry| rush.contains(&came(entry).as_secs_f64()))
            .collect();
        let count = |what: &dyn Fn(&LedgerEntry) -> bool| {
            sent.iter().filter(|entry| what(entry)).count() as f64
        };
        // By when it was charged.
        let charged = |what: &dyn Fn(&LedgerEntry) -> bool| -> f64 {
            let entries = runs.iter().flat_map(|run| &run.ledger);
            let ended = |entry: &LedgerEntry| {
                entry
                    .ended_ms
                    .is_some_and(|ms| rush.contains(&(ms as f64 / 1e3)))
            };
            entries
                .filter(|entry| ended(entry) && what(entry))
                .fold(0.0, |sum, entry| sum + entry.settled as f64)
        };
        let quota = runs.len() as f64 * TOKENS_PER_MINUTE as f64 * (morning.calm - morning.rush);
        let waits: Vec<f64> = runs
            .iter()
            .flat_map(samples)
            .filter_map(|s| s.wait())
            .map(|wait| wait.as_secs_f64())
            .collect();
        Self {
            answered: estimate(
                runs.iter()
                    .map(|run| ratio(answers(run), samples(run).len() as f64)),
            ),
            costliest_answered: costliest_answered(runs.iter().flat_map(samples).collect()),
            throttles_per_answer: ratio(count(&is_throttled), count(&is_answered)),
            sent_in_vain: 1.0 - ratio(count(&is_answered), sent.len() as f64),
            quota_used: charged(&|entry| entry.model == PRIMARY) / quota,
            fallback_used: charged(&|entry| entry.model == FALLBACK) / quota,
            wasted: ratio(charged(&|entry| !is_answered(entry)), charged(&|_| true)),
            p50: quantile(&waits, 0.5).unwrap_or_default(),
            p99: quantile(&waits, 0.99).unwrap_or_default(),
        }
    }
}

impl Whole {
    fn of(runs: &[Run]) -> Self {
        let mean = |of: &dyn Fn(&Run) -> usize| estimate(runs.iter().map(|run| of(run) as f64));
        let calls = |run: &Run, what: &dyn Fn(&LedgerEntry) -> bool| {
            run.ledger.iter().filter(|e| what(e)).count()
        };
        Self {
            made: mean(&|run| run.samples.len()).mean,
            answers: mean(&|run| {
                run.samples
                    .iter()
                    .filter(|sample| sample.result.is_ok())
                    .count()
            }),
            sent: mean(&|run| run.ledger.len()).mean,
            throttles: mean(&|run| calls(run, &is_throttled)).mean,
            abandoned: mean(&|run| calls(run, &|entry| entry.outcome == "dropped")).mean,
        }
    }
}

fn is_answered(entry: &LedgerEntry) -> bool {
    entry.outcome == "ok"
}

/// The share of the costliest fifth that was answered.
fn costliest_answered(mut samples: Vec<Sample>) -> f64 {
    samples.sort_by_key(|sample| sample.job.cost());
    let costliest = &samples[samples.len() - samples.len() / 5..];
    let answered = costliest
        .iter()
        .filter(|sample| sample.result.is_ok())
        .count();
    ratio(answered as f64, costliest.len() as f64)
}

/// How many of the events, whose times are in seconds, fall into each minute of a run.
fn by_minute(runs: &[Run], morning: Morning, events: impl Fn(&Run) -> Vec<f64>) -> Vec<f64> {
    let mut minutes = vec![0.0; morning.end as usize];
    for at in runs.iter().flat_map(events) {
        if let Some(minute) = minutes.get_mut((at / 60.0) as usize) {
            *minute += 1.0 / runs.len() as f64;
        }
    }
    minutes
}
