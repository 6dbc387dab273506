//! Monday, nine o'clock: everybody comes at once, and most of them will have to wait.

mod measure;
mod who;

use anyhow::Result;
use bedrock_sim::WindowShape;
use tokio::time::Duration;

use self::{
    measure::{Figures, Run},
    who::Who,
};
use crate::{
    Options, Report, Table,
    job::{Job, MEAN_COST, draw},
    load::{open_loop, poisson},
    plot::{Chart, Line},
    run::{each, randomness, simulate},
    table::thousands,
    world,
};

/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the rush begins and when it is over, and the end of the morning, in minutes.
#[derive(Clone, Copy, Debug)]
struct Morning {
    rush: f64,
    calm: f64,
    end: f64,
}

/// Runs the experiment.
///
/// # Errors
///
/// What a builder or the simulator objects to.
pub fn run(options: &Options) -> Result<Report> {
    let morning = options.size(
        Morning {
            rush: 10.0,
            calm: 20.0,
            end: 30.0,
        },
        Morning {
            rush: 1.0,
            calm: 3.0,
            end: 5.0,
        },
    );
    let seeds = options.seeds(options.size(5, 1));
    let cases: Vec<(Who, u64)> = Who::ALL
        .iter()
        .flat_map(|who| seeds.iter().map(|seed| (*who, *seed)))
        .collect();
    let runs = each(&cases, |(who, seed)| {
        simulate(*seed, one(*who, *seed, morning, WindowShape::Sliding))
    })?;
    let figures: Vec<(Who, Figures)> = Who::ALL
        .into_iter()
        .zip(
            runs.chunks(seeds.len())
                .map(|runs| Figures::of(runs, morning)),
        )
        .collect();

    Ok(Report {
        name: "monday",
        title: "Monday, nine o'clock",
        setup: SETUP.into(),
        tables: vec![
            (
                "The rush: calls that came while ten times the quota was asked for".into(),
                rush_table(&figures),
            ),
            (
                "The whole morning, calm before and after included".into(),
                morning_table(&figures),
            ),
        ],
        findings: FINDINGS.into(),
        charts: vec![
            chart(&figures, "Answered in time", "calls a minute", |f| {
                &f.answers_by_minute
            }),
            chart(&figures, "Throttled", "429s a minute", |f| {
                &f.throttled_by_minute
            }),
        ],
        seed: options.seed,
    })
}

async fn one(who: Who, seed: u64, morning: Morning, shape: WindowShape) -> Result<Run> {
    let simulator = world::account(seed, shape)?;
    let subject = who.subject(&simulator, seed)?;
    let samples = open_loop(&subject, jobs(seed, morning)?, PATIENCE).await?;
    Ok(Run {
        samples,
        ledger: simulator.ledger().entries,
    })
}

/// The same calls at the same times for everyone who is compared.
fn jobs(seed: u64, morning: Morning) -> Result<Vec<(Duration, Job)>> {
    let mut rng = randomness(seed, 1);
    let once = world::TOKENS_PER_MINUTE as f64 / MEAN_COST;
    let minutes = |minutes: f64| Duration::from_secs_f64(minutes * 60.0);
    let Morning { rush, calm, end } = morning;
    let mut jobs = Vec::new();
    for (from, until, times) in [(0.0, rush, 1.0), (rush, calm, 10.0), (calm, end, 1.0)] {
        for at in poisson(minutes(from), minutes(until), once * times, &mut rng)? {
            jobs.push((at, draw(&mut rng)));
        }
    }
    Ok(jobs)
}

fn rush_table(figures: &[(Who, Figures)]) -> Table {
    let mut table = Table::new([
        "",
        "answered in 60 s",
        "429s an answer",
        "calls sent in vain",
        "quota used",
        "its stand-in's",
        "charged for nothing",
        "p50 wait",
        "p99 wait",
    ]);
    for (who, figures) in figures {
        let rush = &figures.rush;
        table.row([
            who.name().to_owned(),
            format!("{:.1}%", 100.0 * rush.answered.mean),
            format!("{:.2}", rush.throttles_per_answer),
            format!("{:.1}%", 100.0 * rush.sent_in_vain),
            format!("{:.1}%", 100.0 * rush.quota_used),
            format!("{:.1}%", 100.0 * rush.fallback_used),
            format!("{:.1}%", 100.0 * rush.wasted),
            format!("{:.1} s", rush.p50),
            format!("{:.1} s", rush.p99),
        ]);
    }
    table
}

fn morning_table(figures: &[(Who, Figures)]) -> Table {
    let mut table = Table::new([
        "",
        "calls made",
        "answered in 60 s",
        "calls sent",
        "429s",
        "abandoned by their client",
    ]);
    for (who, figures) in figures {
        let whole = &figures.whole;
        table.row([
            who.name().to_owned(),
            thousands(whole.made),
            format!(
                "{} ± {}",
                thousands(whole.answers.mean),
                thousands(whole.answers.standard_error)
            ),
            thousands(whole.sent),
            thousands(whole.throttles),
            thousands(whole.abandoned),
        ]);
    }
    table
}

fn chart(figures: &[(Who, Figures)], title: &str, y: &str, of: fn(&Figures) -> &Vec<f64>) -> Chart {
    let lines = figures.iter().map(|(who, figures)| {
        let points = of(figures)
            .iter()
            .enumerate()
            .map(|(minute, value)| (minute as f64 + 0.5, *value));
        Line::new(who.name(), points)
    });
    Chart {
        title: title.into(),
        x: "minutes".into(),
        y: y.into(),
        lines: lines.collect(),
    }
}

const SETUP: &str = "todo";
const FINDINGS: &str = "todo";
