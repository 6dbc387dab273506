//! Every kind of fault for five minutes, then health again.

mod measure;
mod page;
mod streams;
mod who;

use anyhow::Result;
use bedrock_sim::{FaultName, FaultSpec, Simulator, WindowShape};
use tokio::time::Duration;

use self::{
    measure::{Figures, Run},
    who::Who,
};
use crate::{
    Options, Report,
    job::{MEAN_COST, Subject, draw},
    load::{open_loop, poisson},
    run::{each, randomness, simulate},
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
    let plan = plan(options);
    let kinds = measure(options, plan)?;
    let streams = streams::measure(options, plan)?;
    Ok(page::of(&kinds, &streams, options.seed))
}

fn plan(options: &Options) -> Plan {
    options.size(
        Plan {
            from: 300,
            until: 600,
            end: 1_200,
        },
        Plan {
            from: 60,
            until: 120,
            end: 360,
        },
    )
}

/// What each client comes to under each kind of fault, in the order of [`Who::ALL`].
fn measure(options: &Options, plan: Plan) -> Result<Vec<(FaultName, Vec<Figures>)>> {
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
    let by_client = |runs: &[Run]| runs.chunks(seeds.len()).map(Figures::of).collect();
    let figures: Vec<Vec<Figures>> = runs
        .chunks(seeds.len() * Who::ALL.len())
        .map(by_client)
        .collect();
    Ok(kinds.into_iter().zip(figures).collect())
}

async fn one(kind: FaultName, who: Who, seed: u64, plan: Plan) -> Result<Run> {
    under_load(FaultSpec::new(kind), seed, plan, |simulator| {
        who.subject(simulator, seed)
    })
    .await
}

/// Steady load on a model that has a fault while the plan says so.
async fn under_load(
    fault: FaultSpec,
    seed: u64,
    plan: Plan,
    client: impl FnOnce(&Simulator) -> Result<Subject>,
) -> Result<Run> {
    let simulator = world::account(seed, TOKENS_PER_MINUTE, WindowShape::Sliding)?;
    simulator.add_fault(FaultSpec {
        model: world::PRIMARY.into(),
        from_ms: Some(plan.from * 1_000),
        until_ms: Some(plan.until * 1_000),
        ..fault
    })?;
    let subject = client(&simulator)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_takes_the_load_off_and_the_fallback_answers() {
        let plan = plan(&Options::QUICK);
        let kinds = measure(&Options::QUICK, plan).unwrap();
        let again = run(&Options::QUICK).unwrap();
        let streams = streams::measure(&Options::QUICK, plan).unwrap();
        let page = page::of(&kinds, &streams, Options::QUICK.seed);
        assert_eq!(page.markdown(), again.markdown());
        for place in streams[0].1.chunks(2) {
            assert!(place[0].answered_within < 0.1);
            assert!(place[1].answered_within > 0.7);
        }

        let of = |who| {
            let column = Who::ALL.iter().position(|other| *other == who).unwrap();
            &kinds[0].1[column]
        };
        assert!(of(Who::Breaker).sent_per_call < 0.3);
        assert!(of(Who::TunedBreaker).sent_per_call < 0.5);
        assert!(of(Who::Once).sent_per_call > 0.9);
        assert!(of(Who::Fallback).answered_within > 0.8);
        assert!(of(Who::Quota).answered_within < 0.2);
        assert_eq!(
            kinds[0]
                .1
                .iter()
                .map(|figures| figures.collapsed)
                .sum::<usize>(),
            0
        );
    }
}
