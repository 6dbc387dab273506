//! Backoff under contention, as AWS measured it.

pub mod contention;
mod page;

use anyhow::Result;
use tokio::time::Duration;
use tower_bedrock::retry::{Backoff, Jitter};

use self::contention::Outcome;
use crate::{
    Options, Report,
    run::each,
    stats::{Estimate, estimate},
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

/// A policy that AWS measured, and what it measured: calls, milliseconds.
struct Published {
    name: &'static str,
    jitter: Option<Jitter>,
    calls: f64,
    milliseconds: Option<f64>,
    /// The standard errors of both, where they are known.
    errors: Option<(f64, f64)>,
}

const PUBLISHED: [Published; 5] = [
    Published {
        name: "none",
        jitter: None,
        calls: 2_422.0,
        milliseconds: None,
        errors: None,
    },
    Published {
        name: "exponential",
        jitter: Some(Jitter::None),
        calls: 1_853.0,
        milliseconds: Some(63_273.0),
        errors: None,
    },
    Published {
        name: "equal jitter",
        jitter: Some(Jitter::Equal),
        calls: 812.0,
        milliseconds: Some(6_610.0),
        errors: None,
    },
    Published {
        name: "full jitter",
        jitter: Some(Jitter::Full),
        calls: 795.6,
        milliseconds: Some(4_894.0),
        errors: Some((0.21, 16.0)),
    },
    Published {
        name: "decorrelated jitter",
        jitter: Some(Jitter::Decorrelated),
        calls: 1_001.0,
        milliseconds: Some(4_600.0),
        errors: None,
    },
];

/// The base and cap, in milliseconds, that do better under this contention.
const BETTER: (u64, u64) = (160, 500);

/// What many runs of one policy come to.
#[derive(Clone, Copy, Debug)]
struct Figures {
    calls: Estimate,
    milliseconds: Estimate,
}

/// What all runs come to.
#[derive(Clone, Debug)]
struct Measured {
    /// AWS's policies at AWS's number of clients, in the order of [`PUBLISHED`].
    reproduced: Vec<Figures>,
    /// Full jitter with each of [`OTHERS`], for each of [`CROWDS`].
    others: Vec<Vec<Figures>>,
    /// What is drawn: a policy, for each of [`CROWDS`].
    curves: Vec<(String, Vec<Figures>)>,
}

/// Runs the experiment.
///
/// # Errors
///
/// None, with the constants there are.
pub fn run(options: &Options) -> Result<Report> {
    Ok(page::of(&measure(options)?, options.seed))
}

fn measure(options: &Options) -> Result<Measured> {
    let crowds = |backoff: Option<Backoff>, runs| {
        let of = |clients| figures(options, clients, backoff, runs);
        CROWDS.into_iter().map(of).collect::<Result<Vec<Figures>>>()
    };
    let mut measured = Measured {
        reproduced: Vec::new(),
        others: Vec::new(),
        curves: Vec::new(),
    };
    for policy in &PUBLISHED {
        let full = policy.jitter == Some(Jitter::Full);
        let runs = options.size(if full { 10_000 } else { 1_000 }, 10);
        let backoff = policy.backoff()?;
        measured
            .reproduced
            .push(figures(options, CLIENTS, backoff, runs)?);
        let curve = crowds(backoff, options.size(200, 2))?;
        measured.curves.push((policy.name.to_owned(), curve));
    }
    for others in OTHERS {
        let crowds = crowds(Some(full(others)?), options.size(1_000, 2))?;
        if others == BETTER {
            measured.curves.push((page::name(others), crowds.clone()));
        }
        measured.others.push(crowds);
    }
    Ok(measured)
}

/// The means of so many runs of a policy.
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

impl Published {
    fn backoff(&self) -> Result<Option<Backoff>> {
        let backoff = |jitter| Ok(Backoff::new(BASE, CAP)?.with_jitter(jitter));
        self.jitter.map(backoff).transpose()
    }
}

/// Full jitter from a base up to a cap, in milliseconds.
fn full((base, cap): (u64, u64)) -> Result<Backoff> {
    Ok(Backoff::new(
        Duration::from_millis(base),
        Duration::from_millis(cap),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_pays_and_a_longer_base_pays_more() {
        let measured = measure(&Options::QUICK).unwrap();
        let again = measure(&Options::QUICK).unwrap();
        let page = |measured| page::of(measured, 1).markdown();
        assert_eq!(page(&measured), page(&again));

        let calls = |row: usize| measured.reproduced[row].calls.mean;
        let full = measured.reproduced[3];
        assert!(calls(0) > calls(1) && calls(1) > 2.0 * full.calls.mean);
        // Ten runs are some thirty times as uncertain as what is published.
        let (calls_apart, ms_apart) = page::apart(&PUBLISHED[3], &full).unwrap();
        assert!(calls_apart < 4.0 && ms_apart < 4.0, "{full:?}");

        let better = OTHERS.iter().position(|other| *other == BETTER).unwrap();
        let better = measured.others[better][3];
        assert!(better.calls.mean < 0.8 * full.calls.mean, "{better:?}");
        assert!(
            better.milliseconds.mean < 0.8 * full.milliseconds.mean,
            "{better:?}"
        );
    }
}
