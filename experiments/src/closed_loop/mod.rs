//! Twenty clients, one quota: each makes its next call as soon as its last one is over.

mod mirror;
mod page;
mod who;

use anyhow::{Context as _, Result};
use bedrock_sim::{LedgerEntry, WindowShape};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use self::who::Who;
use crate::{
    Options, Report,
    job::{Subject, draw},
    load::{Sample, attend},
    run::{each, randomness, simulate},
    stats::{Estimate, estimate, ratio},
    world::{self, TOKENS_PER_MINUTE, came, is_throttled},
};

const CLIENTS: u64 = 20;
/// Nobody gives up: what is measured is how long it takes.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// For how long a client leaves it whose call failed.
const PAUSE: Duration = Duration::from_secs(1);

/// When figures are taken from, and until when, in seconds.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    until: u64,
}

/// What is read off one run.
#[derive(Clone, Debug)]
struct Run {
    throttles_per_success: f64,
    failed: f64,
    utilisation: f64,
    successes: f64,
    waits: Vec<f64>,
}

/// What the runs of one client come to.
#[derive(Clone, Debug)]
struct Figures {
    throttles_per_success: Estimate,
    failed: Estimate,
    utilisation: Estimate,
    successes: Estimate,
    waits: Vec<f64>,
}

/// Runs the experiment.
///
/// # Errors
///
/// What a builder or the simulator objects to.
pub fn run(options: &Options) -> Result<Report> {
    Ok(page::of(&measure(options)?, options.seed))
}

/// What the runs of each client come to.
fn measure(options: &Options) -> Result<Vec<(Who, Figures)>> {
    let span = options.size(
        Span {
            from: 60,
            until: 1_800,
        },
        Span {
            from: 60,
            until: 120,
        },
    );
    let seeds = options.seeds(options.size(10, 1));
    let cases: Vec<(Who, u64)> = Who::ALL
        .iter()
        .flat_map(|who| seeds.iter().map(|seed| (*who, *seed)))
        .collect();
    let runs = each(&cases, |(who, seed)| {
        simulate(*seed, one(*who, *seed, span))
    })?;
    let figures = runs.chunks(seeds.len()).map(Figures::of);
    Ok(Who::ALL.into_iter().zip(figures).collect())
}

async fn one(who: Who, seed: u64, span: Span) -> Result<Run> {
    let simulator = world::account(seed, TOKENS_PER_MINUTE, WindowShape::Bucket)?;
    let subject = who.subject(&simulator, seed)?;
    let start = Instant::now();
    let until = Duration::from_secs(span.until);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(repeat(subject.clone(), seed ^ (client << 32), start, until));
    }
    let mut samples = Vec::new();
    // By then, every client has stopped or waits for its last answer.
    tokio::time::sleep_until(start + until).await;
    let ledger = simulator.ledger().entries;
    while let Some(of_one) = clients.join_next().await {
        samples.extend(of_one.context("a client panicked")?);
    }
    Ok(Run::new(&samples, &ledger, span))
}

/// One client: its next call as soon as its last one is over.
async fn repeat(subject: Subject, seed: u64, start: Instant, until: Duration) -> Vec<Sample> {
    let mut rng = randomness(seed, 1);
    let mut samples = Vec::new();
    while start.elapsed() < until {
        let sample = attend(subject.clone(), draw(&mut rng), start, PATIENCE).await;
        if sample.result.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        samples.push(sample);
    }
    samples
}

impl Run {
    fn new(samples: &[Sample], ledger: &[LedgerEntry], span: Span) -> Self {
        let within = |at: Duration| (span.from..span.until).contains(&at.as_secs());
        let throttled = ledger
            .iter()
            .filter(|entry| is_throttled(entry) && within(came(entry)))
            .count();
        let settled: u64 = (ledger.iter())
            .filter(|entry| {
                entry
                    .ended_ms
                    .is_some_and(|ms| within(Duration::from_millis(ms)))
            })
            .map(|entry| entry.settled)
            .sum();
        let ended: Vec<&Sample> = samples
            .iter()
            .filter(|sample| within(sample.finished))
            .collect();
        let waits: Vec<f64> = ended
            .iter()
            .filter_map(|s| s.wait())
            .map(|wait| wait.as_secs_f64())
            .collect();
        let minutes = (span.until - span.from) as f64 / 60.0;
        Self {
            throttles_per_success: ratio(throttled as f64, waits.len() as f64),
            failed: 1.0 - ratio(waits.len() as f64, ended.len() as f64),
            utilisation: settled as f64 / (TOKENS_PER_MINUTE as f64 * minutes),
            successes: waits.len() as f64 / minutes,
            waits,
        }
    }
}

impl Figures {
    fn of(runs: &[Run]) -> Self {
        let of = |of: fn(&Run) -> f64| estimate(runs.iter().map(of));
        Self {
            throttles_per_success: of(|run| run.throttles_per_success),
            failed: of(|run| run.failed),
            utilisation: of(|run| run.utilisation),
            successes: of(|run| run.successes),
            waits: runs
                .iter()
                .flat_map(|run| run.waits.iter().copied())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::sdk::Retries;

    #[test]
    fn a_quota_that_is_known_is_used_up_without_a_throttle() {
        let figures = measure(&Options::QUICK).unwrap();
        let again = measure(&Options::QUICK).unwrap();
        let page = |figures: &[_]| page::of(figures, 1).markdown();
        assert_eq!(page(&figures), page(&again));

        let of = |who| &figures.iter().find(|(other, _)| *other == who).unwrap().1;
        let ours = of(Who::QuotaBucket);
        assert_eq!(ours.throttles_per_success.mean, 0.0);
        // In so short a run the estimates are still being learnt.
        assert!(ours.utilisation.mean > 0.85, "{:?}", ours.utilisation);
        assert!(ours.wait(0.99) < 50.0, "{}", ours.wait(0.99));
        assert_eq!(of(Who::Quota).throttles_per_success.mean, 0.0);
        let standard = of(Who::Sdk(Retries::Standard));
        assert!(standard.throttles_per_success.mean > 10.0);
        assert!(standard.failed.mean > 0.9);
    }
}
