//! Twenty clients, one quota: each makes its next call as soon as its last one is over.

mod mirror;
mod who;

use anyhow::{Context as _, Result};
use bedrock_sim::{LedgerEntry, WindowShape};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use self::who::Who;
use crate::{
    Options, Report, Table,
    job::{Subject, draw},
    load::{Sample, attend},
    plot::{Chart, Line},
    run::{each, randomness, simulate},
    stats::{Estimate, estimate, quantile, ratio},
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
    let span = options.size(
        Span {
            from: 60,
            until: 1_800,
        },
        Span {
            from: 60,
            until: 300,
        },
    );
    let seeds = options.seeds(options.size(10, 2));
    let cases: Vec<(Who, u64)> = Who::ALL
        .iter()
        .flat_map(|who| seeds.iter().map(|seed| (*who, *seed)))
        .collect();
    let runs = each(&cases, |(who, seed)| {
        simulate(*seed, one(*who, *seed, span))
    })?;
    let figures: Vec<Figures> = runs.chunks(seeds.len()).map(Figures::of).collect();

    let mut table = Table::new([
        "",
        "429s an answer",
        "calls that failed",
        "quota used",
        "answers a minute",
        "p50",
        "p99",
    ]);
    for (who, figures) in Who::ALL.iter().zip(&figures) {
        table.row(figures.row(who.name()));
    }
    for known in KNOWN {
        table.row(known);
    }
    Ok(Report {
        name: "closed-loop",
        title: "Twenty clients on one quota",
        setup: SETUP.into(),
        tables: vec![(
            "From a client's call to its answer, waiting and retries included".into(),
            table,
        )],
        findings: FINDINGS.into(),
        charts: vec![Chart {
            title: "How long an answer takes".into(),
            x: "share of answers".into(),
            y: "seconds at most".into(),
            lines: (Who::ALL.iter().zip(&figures))
                .map(|(who, f)| f.line(who.name()))
                .collect(),
        }],
        seed: options.seed,
    })
}

/// What others measured in this set-up, and the goal.
const KNOWN: [[&str; 7]; 4] = [
    [
        "known: AWS's new standard retry",
        "17.7",
        "94%",
        "",
        "",
        "",
        "",
    ],
    [
        "known: full jitter, no limit",
        "4.47",
        "",
        "",
        "",
        "",
        "256 s",
    ],
    [
        "known: a mirror that knows all",
        "0",
        "",
        "100.0%",
        "",
        "",
        "42 s",
    ],
    ["goal", "0", "", "99.0%", "", "", "45 s"],
];

async fn one(who: Who, seed: u64, span: Span) -> Result<Run> {
    let simulator = world::account(seed, WindowShape::Bucket)?;
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

    fn row(&self, name: &str) -> [String; 7] {
        let percent =
            |e: Estimate| format!("{:.1}% ± {:.1}", 100.0 * e.mean, 100.0 * e.standard_error);
        let wait = |share| format!("{:.1} s", quantile(&self.waits, share).unwrap_or_default());
        [
            name.to_owned(),
            format!(
                "{:.3} ± {:.3}",
                self.throttles_per_success.mean, self.throttles_per_success.standard_error
            ),
            percent(self.failed),
            percent(self.utilisation),
            format!("{:.1}", self.successes.mean),
            wait(0.5),
            wait(0.99),
        ]
    }

    fn line(&self, name: &str) -> Line {
        let shares = (1..=99).map(|percent| f64::from(percent) / 100.0);
        let points = shares.filter_map(|share| Some((share, quantile(&self.waits, share)?)));
        Line::new(name, points)
    }
}

const SETUP: &str = "todo";
const FINDINGS: &str = "todo";
