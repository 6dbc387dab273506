//! Every kind of fault for five minutes, then health again.

mod measure;
mod who;

use anyhow::Result;
use bedrock_sim::{FaultName, FaultSpec, ModelSettings, Simulator};
use tokio::time::Duration;

use self::{
    measure::{Figures, Run},
    who::Who,
};
use crate::{
    Options, Report, Table,
    job::{MEAN_COST, draw},
    load::{open_loop, poisson},
    plot::{Chart, Line},
    run::{each, randomness, simulate},
    stats::ratio,
    world,
};

const TOKENS_PER_MINUTE: u64 = 300_000;
/// How much of the quota is asked for.
const LOAD: f64 = 0.8;
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the outage begins, when it ends, and when the run does, in seconds.
#[derive(Clone, Copy, Debug)]
struct Plan {
    from: u64,
    until: u64,
    end: u64,
}

/// A kind of fault, a client, and a seed.
type Case = (FaultName, Who, u64);

/// Runs the experiment.
///
/// # Errors
///
/// What a builder or the simulator objects to.
pub fn run(options: &Options) -> Result<Report> {
    let plan = options.size(
        Plan {
            from: 300,
            until: 600,
            end: 1_200,
        },
        Plan {
            from: 60,
            until: 180,
            end: 420,
        },
    );
    let kinds: Vec<FaultName> = options.size(
        FaultName::ALL
            .into_iter()
            .filter(|kind| *kind != FaultName::Corrupt)
            .collect(),
        vec![FaultName::Unavailable],
    );
    let seeds = options.seeds(options.size(5, 1));
    let mut cases: Vec<Case> = Vec::new();
    for kind in &kinds {
        for who in Who::ALL {
            cases.extend(seeds.iter().map(|seed| (*kind, who, *seed)));
        }
    }
    let runs = each(&cases, |(kind, who, seed)| {
        simulate(*seed, one(*kind, *who, *seed, plan))
    })?;
    let figures: Vec<Vec<Figures>> = runs
        .chunks(seeds.len() * Who::ALL.len())
        .map(|runs| runs.chunks(seeds.len()).map(Figures::of).collect())
        .collect();
    let shown = kinds
        .iter()
        .position(|kind| *kind == FaultName::Unavailable)
        .unwrap_or_default();

    Ok(Report {
        name: "outage",
        title: "Outage and recovery",
        setup: SETUP.into(),
        tables: vec![
            ("Over all kinds of fault".into(), summary(&figures)),
            (
                "Calls sent into the outage for each that was made while it lasted".into(),
                by_kind(&kinds, &figures, |f| format!("{:.2}", f.sent_per_call)),
            ),
            (
                "Seconds from its end until 95% are answered again (the mean of the runs; \"never\" where one did not recover)".into(),
                by_kind(&kinds, &figures, Figures::recovery_text),
            ),
            (
                "Share of the calls made while it lasted that were answered in time".into(),
                by_kind(&kinds, &figures, |f| format!("{:.2}", f.answered_within)),
            ),
        ],
        findings: FINDINGS.into(),
        charts: vec![chart("503s from minute 5 to minute 10", &figures[shown])],
        seed: options.seed,
    })
}

async fn one(kind: FaultName, who: Who, seed: u64, plan: Plan) -> Result<Run> {
    let simulator = account(seed)?;
    simulator.add_fault(FaultSpec {
        from_ms: Some(plan.from * 1_000),
        until_ms: Some(plan.until * 1_000),
        ..FaultSpec::new(kind)
    })?;
    let subject = who.subject(&simulator, seed)?;
    let mut rng = randomness(seed, 1);
    let per_minute = LOAD * TOKENS_PER_MINUTE as f64 / MEAN_COST;
    let jobs = poisson(
        Duration::ZERO,
        Duration::from_secs(plan.end),
        per_minute,
        &mut rng,
    )?
    .into_iter()
    .map(|at| (at, draw(&mut rng)))
    .collect();
    let samples = open_loop(&subject, jobs, PATIENCE).await?;
    Ok(Run::new(&samples, &simulator.ledger().entries, plan))
}

fn account(seed: u64) -> Result<Simulator> {
    world::simulator(
        seed,
        &ModelSettings {
            requests_per_minute: Some(None),
            tokens_per_minute: Some(Some(TOKENS_PER_MINUTE)),
            tokens_per_day: Some(None),
            ..world::pace()
        },
    )
}

fn by_kind(
    kinds: &[FaultName],
    figures: &[Vec<Figures>],
    cell: impl Fn(&Figures) -> String,
) -> Table {
    let mut table = Table::new(std::iter::once("").chain(Who::ALL.iter().map(|who| who.name())));
    for (kind, row) in kinds.iter().zip(figures) {
        table.row(std::iter::once(kind_name(*kind)).chain(row.iter().map(&cell)));
    }
    table
}

fn summary(figures: &[Vec<Figures>]) -> Table {
    let mut table = Table::new([
        "",
        "sent for each call made",
        "answered while it lasts",
        "mean recovery",
        "longest recovery",
        "collapsed runs",
    ]);
    for (column, who) in Who::ALL.iter().enumerate() {
        let all: Vec<&Figures> = figures.iter().map(|row| &row[column]).collect();
        let mean =
            |of: &dyn Fn(&Figures) -> f64| ratio(all.iter().map(|f| of(f)).sum(), all.len() as f64);
        let recoveries: Vec<f64> = all
            .iter()
            .flat_map(|f| &f.recoveries)
            .copied()
            .flatten()
            .collect();
        let runs: usize = all.iter().map(|f| f.recoveries.len()).sum();
        let collapsed: usize = all.iter().map(|f| f.collapsed).sum();
        table.row([
            who.name().to_owned(),
            format!("{:.2}", mean(&|f| f.sent_per_call)),
            format!("{:.1}%", 100.0 * mean(&|f| f.answered_within)),
            format!(
                "{:.0} s",
                ratio(recoveries.iter().sum(), recoveries.len() as f64)
            ),
            format!("{:.0} s", recoveries.iter().copied().fold(0.0, f64::max)),
            format!("{collapsed} of {runs}"),
        ]);
    }
    table
}

fn chart(title: &str, figures: &[Figures]) -> Chart {
    let lines = Who::ALL.iter().zip(figures).map(|(who, figures)| {
        Line::new(
            who.name(),
            figures
                .goodput
                .iter()
                .map(|(second, share)| (second / 60.0, *share)),
        )
    });
    Chart {
        title: title.into(),
        x: "minutes".into(),
        y: "share of the calls that came, answered in time".into(),
        lines: lines.collect(),
    }
}

/// As the simulator's control interface spells it.
fn kind_name(kind: FaultName) -> String {
    let mut name = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

const SETUP: &str = "todo";
const FINDINGS: &str = "todo";
