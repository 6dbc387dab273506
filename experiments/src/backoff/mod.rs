//! Backoff under contention, as AWS measured it.

pub mod contention;

use anyhow::Result;
use tokio::time::Duration;
use tower_bedrock::retry::{Backoff, Jitter};

use self::contention::Outcome;
use crate::{
    Options, Report, Table,
    plot::{Chart, Line},
    run::each,
    stats::{Estimate, estimate},
    table::thousands,
};

/// AWS's base and cap.
const BASE: Duration = Duration::from_millis(5);
const CAP: Duration = Duration::from_millis(2_000);
/// How many clients AWS's figures are for.
const CLIENTS: usize = 100;
const CROWDS: [usize; 5] = [10, 25, 50, 100, 200];
/// Other bases and caps of full jitter, in milliseconds, AWS's first.
const OTHERS: [(u64, u64); 7] = [
    (5, 2_000),
    (160, 2_000),
    (5, 500),
    (40, 500),
    (80, 500),
    (160, 500),
    (160, 1_000),
];
/// The standard errors of the published figures of full jitter: calls, milliseconds.
const PUBLISHED_ERRORS: (f64, f64) = (0.21, 16.0);

/// A policy that AWS measured, and what it measured: calls, milliseconds.
struct Published {
    name: &'static str,
    jitter: Option<Jitter>,
    calls: f64,
    milliseconds: Option<f64>,
}

const PUBLISHED: [Published; 5] = [
    Published {
        name: "none",
        jitter: None,
        calls: 2_422.0,
        milliseconds: None,
    },
    Published {
        name: "exponential",
        jitter: Some(Jitter::None),
        calls: 1_853.0,
        milliseconds: Some(63_273.0),
    },
    Published {
        name: "equal jitter",
        jitter: Some(Jitter::Equal),
        calls: 812.0,
        milliseconds: Some(6_610.0),
    },
    Published {
        name: "full jitter",
        jitter: Some(Jitter::Full),
        calls: 795.6,
        milliseconds: Some(4_894.0),
    },
    Published {
        name: "decorrelated jitter",
        jitter: Some(Jitter::Decorrelated),
        calls: 1_001.0,
        milliseconds: Some(4_600.0),
    },
];

/// What many runs come to.
#[derive(Clone, Copy, Debug)]
struct Figures {
    calls: Estimate,
    milliseconds: Estimate,
}

/// Runs the experiment.
///
/// # Errors
///
/// None, with the constants there are.
pub fn run(options: &Options) -> Result<Report> {
    Ok(Report {
        name: "backoff",
        title: "Backoff under contention",
        setup: SETUP.into(),
        tables: vec![
            (
                "AWS's policies, 100 clients, base 5 ms, cap 2,000 ms".into(),
                reproduction(options)?,
            ),
            (
                "Full jitter with other bases and caps: calls / milliseconds".into(),
                others(options)?,
            ),
        ],
        findings: FINDINGS.into(),
        charts: charts(options)?,
        seed: options.seed,
    })
}

/// The mean of so many runs of a policy.
fn figures(
    options: &Options,
    clients: usize,
    backoff: Option<Backoff>,
    runs: u64,
) -> Result<Figures> {
    let outcomes = each(&options.seeds(runs), |seed| {
        Ok(contention::run(clients, backoff.as_ref(), *seed)?)
    })?;
    let of = |of: fn(&Outcome) -> f64| estimate(outcomes.iter().map(of));
    Ok(Figures {
        calls: of(|outcome| f64::from(outcome.calls)),
        milliseconds: of(|outcome| outcome.milliseconds),
    })
}

fn reproduction(options: &Options) -> Result<Table> {
    let mut table = Table::new([
        "",
        "published calls",
        "calls here",
        "published ms",
        "ms here",
        "apart, in standard errors",
    ]);
    for policy in &PUBLISHED {
        let full = policy.jitter == Some(Jitter::Full);
        let runs = options.size(if full { 10_000 } else { 1_000 }, 100);
        let backoff = policy
            .jitter
            .map(|jitter| jittered(BASE, jitter))
            .transpose()?;
        let here = figures(options, CLIENTS, backoff, runs)?;
        let apart = |mean: f64, other: f64, estimate: Estimate| {
            (estimate.mean - mean).abs() / estimate.standard_error.hypot(other)
        };
        table.row([
            policy.name.to_owned(),
            format!("{}", policy.calls),
            shown(here.calls, 1),
            policy
                .milliseconds
                .map_or_else(String::new, |ms| format!("{ms:.0}")),
            shown(here.milliseconds, 0),
            match policy.milliseconds {
                Some(ms) if full => format!(
                    "{:.1}, {:.1}",
                    apart(policy.calls, PUBLISHED_ERRORS.0, here.calls),
                    apart(ms, PUBLISHED_ERRORS.1, here.milliseconds),
                ),
                _ => String::new(),
            },
        ]);
    }
    Ok(table)
}

fn others(options: &Options) -> Result<Table> {
    let crowds = CROWDS.map(|clients| format!("{clients} clients"));
    let mut table = Table::new(std::iter::once("base, cap".to_owned()).chain(crowds));
    for (base, cap) in OTHERS {
        let mut row = vec![format!("{base} ms, {} ms", thousands(cap as f64))];
        for clients in CROWDS {
            let here = figures(
                options,
                clients,
                Some(full(base, cap)?),
                options.size(1_000, 50),
            )?;
            row.push(format!(
                "{:.0} / {:.0}",
                here.calls.mean, here.milliseconds.mean
            ));
        }
        table.row(row);
    }
    Ok(table)
}

fn charts(options: &Options) -> Result<Vec<Chart>> {
    let mut calls = Vec::new();
    let mut times = Vec::new();
    let mut lines = Vec::new();
    for policy in &PUBLISHED {
        lines.push((
            policy.name.to_owned(),
            policy
                .jitter
                .map(|jitter| jittered(BASE, jitter))
                .transpose()?,
        ));
    }
    let (base, cap) = (160, 500);
    lines.push((
        format!("full jitter, {base} ms to {cap} ms"),
        Some(full(base, cap)?),
    ));
    for (name, backoff) in lines {
        let mut points = Vec::new();
        for clients in CROWDS {
            let here = figures(options, clients, backoff, options.size(200, 20))?;
            points.push((clients as f64, here));
        }
        calls.push(Line::new(
            &name,
            points.iter().map(|(x, here)| (*x, here.calls.mean)),
        ));
        // It takes ten times as long as the others, which would not be told apart beside it.
        if name != "exponential" {
            times.push(Line::new(
                &name,
                points.iter().map(|(x, here)| (*x, here.milliseconds.mean)),
            ));
        }
    }
    let chart = |title: &str, y: &str, lines| Chart {
        title: title.into(),
        x: "clients contending for one row".into(),
        y: y.into(),
        lines,
    };
    Ok(vec![
        chart("Work", "calls until all have written", calls),
        chart("Time", "ms until all have written", times),
    ])
}

fn jittered(base: Duration, jitter: Jitter) -> Result<Backoff> {
    Ok(Backoff::new(base, CAP)?.with_jitter(jitter))
}

fn full(base: u64, cap: u64) -> Result<Backoff> {
    Ok(Backoff::new(
        Duration::from_millis(base),
        Duration::from_millis(cap),
    )?)
}

fn shown(estimate: Estimate, digits: usize) -> String {
    format!(
        "{:.digits$} ± {:.2}",
        estimate.mean, estimate.standard_error
    )
}

const SETUP: &str = "todo";
const FINDINGS: &str = "todo";
