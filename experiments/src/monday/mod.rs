//! Monday, nine o'clock: everybody comes at once, and there is not enough for all.

mod measure;
mod page;
mod who;

use anyhow::Result;
use bedrock_sim::WindowShape;
use tokio::time::Duration;

use self::{
    measure::{Figures, Run},
    who::Who,
};
use crate::{
    Options, Report,
    job::{Job, MEAN_COST, draw},
    load::{open_loop, poisson},
    run::{each, randomness, simulate},
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
    Ok(page::of(&measure(options)?, options.seed))
}

/// What each client's morning comes to.
fn measure(options: &Options) -> Result<Vec<(Who, Figures)>> {
    let morning = options.size(
        Morning {
            rush: 10.0,
            calm: 20.0,
            end: 30.0,
        },
        Morning {
            rush: 1.0,
            calm: 2.5,
            end: 3.0,
        },
    );
    let seeds = options.seeds(options.size(10, 1));
    let cases: Vec<(Who, u64)> = Who::ALL
        .iter()
        .flat_map(|who| seeds.iter().map(|seed| (*who, *seed)))
        .collect();
    let runs = each(&cases, |(who, seed)| {
        simulate(*seed, one(*who, *seed, morning))
    })?;
    let figures = runs
        .chunks(seeds.len())
        .map(|runs| Figures::of(runs, morning));
    Ok(Who::ALL.into_iter().zip(figures).collect())
}

async fn one(who: Who, seed: u64, morning: Morning) -> Result<Run> {
    let simulator = world::account(seed, world::TOKENS_PER_MINUTE, WindowShape::Sliding)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::sdk::Retries;

    #[test]
    fn each_layer_buys_what_the_page_says() {
        let figures = measure(&Options::QUICK).unwrap();
        let again = measure(&Options::QUICK).unwrap();
        let page = |figures: &[_]| page::of(figures, 1).markdown();
        assert_eq!(page(&figures), page(&again));

        let of = |who| {
            &figures
                .iter()
                .find(|(other, _)| *other == who)
                .unwrap()
                .1
                .rush
        };
        let (naive, quota) = (of(Who::FiveAttempts), of(Who::QuotaShortly));
        assert!(naive.throttles_per_answer > 20.0);
        assert!(of(Who::Sdk(Retries::Standard)).throttles_per_answer > 3.0);
        assert!(quota.throttles_per_answer < 0.1);
        assert!(quota.sent_in_vain < 0.05);
        assert!(quota.quota_used > 0.85);
        assert!(quota.p99 < naive.p99);
        let fallback = of(Who::Fallback);
        assert!(fallback.answered.mean > 1.5 * quota.answered.mean);
        assert!(fallback.p50 < of(Who::FiveAttemptsEach).p50);
    }
}
