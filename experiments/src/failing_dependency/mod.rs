//! A dependency that fails independently of load: what retries cost, and what they bring.

mod page;

use anyhow::Result;
use bedrock_sim::{FaultName, FaultSpec, ModelSettings, Simulator};
use tokio::time::Duration;
use tower_bedrock::Target;
use tower_bedrock::retry::Policy;

use crate::{
    Options, Report,
    baselines::{naive, sdk},
    job::{Subject, draw},
    load::{open_loop, poisson},
    ours::Ours,
    run::{each, randomness, simulate},
    stats::ratio,
    world,
};

const CALLS_A_MINUTE: f64 = 3_000.0;
const MINUTE: Duration = Duration::from_secs(60);
const RATES: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    NoRetry,
    ThreeRetries,
    Sdk(sdk::Retries),
    ThreeAttempts,
    FiveAttempts,
    WithBreaker,
    WithRateBreaker,
}

const ALL: [Who; 8] = [
    Who::NoRetry,
    Who::ThreeRetries,
    Who::Sdk(sdk::Retries::Standard),
    Who::Sdk(sdk::Retries::Standard2026),
    Who::ThreeAttempts,
    Who::FiveAttempts,
    Who::WithBreaker,
    Who::WithRateBreaker,
];

/// What came of it, per call that was made.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outcome {
    load: f64,
    success: f64,
}

/// What came of one client, at each of the rates.
#[derive(Clone, Debug)]
struct Figures {
    who: Who,
    outcomes: Vec<Outcome>,
}

/// Runs the experiment.
///
/// # Errors
///
/// What a builder or the simulator objects to.
pub fn run(options: &Options) -> Result<Report> {
    let rates = options.size(RATES.as_slice(), &[0.3, 1.0]);
    Ok(page::of(&measure(options, rates)?, rates, options.seed))
}

fn measure(options: &Options, rates: &[f64]) -> Result<Vec<Figures>> {
    let cases: Vec<(Who, f64)> = (ALL.iter())
        .flat_map(|who| rates.iter().map(|rate| (*who, *rate)))
        .collect();
    let outcomes = each(&cases, |(who, rate)| {
        simulate(options.seed, one(*who, *rate, options))
    })?;
    let by_who = ALL.into_iter().zip(outcomes.chunks(rates.len()));
    Ok(by_who
        .map(|(who, outcomes)| Figures {
            who,
            outcomes: outcomes.to_vec(),
        })
        .collect())
}

async fn one(who: Who, rate: f64, options: &Options) -> Result<Outcome> {
    let simulator = world::simulator(
        options.seed,
        &ModelSettings {
            time_to_first_token_ms: Some(200),
            tokens_per_second: Some(2_000.0),
            tokens_per_minute: Some(None),
            requests_per_minute: Some(None),
            tokens_per_day: Some(None),
            ..world::pace()
        },
    )?;
    if rate > 0.0 {
        simulator.add_fault(FaultSpec {
            probability: Some(rate),
            ..FaultSpec::new(FaultName::Unavailable)
        })?;
    }
    let subject = who.subject(&simulator, world::target(world::PRIMARY)?, options.seed)?;
    let mut rng = randomness(options.seed, 1);
    let (from, until) = options.size((MINUTE, 3 * MINUTE), (MINUTE / 20, MINUTE / 6));
    let jobs = poisson(Duration::ZERO, until, CALLS_A_MINUTE, &mut rng)?
        .into_iter()
        .map(|at| (at, draw(&mut rng)))
        .collect();
    let samples = open_loop(&subject, jobs, 10 * MINUTE).await?;
    let counted = |at: Duration| (from..until).contains(&at);
    let ledger = simulator.ledger().entries;
    let sent = ledger
        .iter()
        .filter(|entry| counted(world::came(entry)))
        .count();
    let made = || samples.iter().filter(|sample| counted(sample.arrived));
    let answered = made().filter(|sample| sample.result.is_ok()).count();
    Ok(Outcome {
        load: ratio(sent as f64, made().count() as f64),
        success: ratio(answered as f64, made().count() as f64),
    })
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::NoRetry => "no retry",
            Self::ThreeRetries => "three retries, no budget",
            Self::Sdk(retries) => retries.name(),
            Self::ThreeAttempts => "ours, three attempts",
            Self::FiveAttempts => "ours, as it comes (five)",
            Self::WithBreaker => "ours, and the breaker as it comes",
            Self::WithRateBreaker => "ours, and a breaker by rate alone",
        }
    }

    const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::ThreeAttempts | Self::FiveAttempts | Self::WithBreaker | Self::WithRateBreaker
        )
    }

    fn subject(self, simulator: &Simulator, target: Target, seed: u64) -> Result<Subject> {
        let ours = || Ours::new(simulator.clone(), target.clone(), seed);
        match self {
            Self::NoRetry => Ok(naive::once(simulator, target)),
            Self::Sdk(retries) => sdk::client(simulator, &target, retries),
            Self::ThreeRetries => {
                let policy = Policy::builder().max_attempts(4).build()?;
                ours().retry_with(policy, None).build()
            }
            Self::ThreeAttempts => {
                let policy = Policy::builder().max_attempts(3).build()?;
                ours().retry(policy).build()
            }
            Self::FiveAttempts => ours().retry(Policy::default()).build(),
            Self::WithBreaker => ours().retry(Policy::default()).breaker(|b| b).build(),
            Self::WithRateBreaker => ours()
                .retry(Policy::default())
                .breaker(|b| {
                    b.without_consecutive_failures()
                        .failure_rate_threshold(80.0)
                })
                .build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_keeps_the_load_down_and_most_answers() {
        let rates = [0.3, 1.0];
        let figures = measure(&Options::QUICK, &rates).unwrap();
        let again = measure(&Options::QUICK, &rates).unwrap();
        let page = |figures: &[_]| page::of(figures, &rates, 1).markdown();
        assert_eq!(page(&figures), page(&again));

        let at = |who, rate| page::outcome(&figures, &rates, who, rate).unwrap();
        let ours = at(Who::ThreeAttempts, 0.3);
        assert!(ours.load < 1.45 && ours.success > 0.95, "{ours:?}");
        // What there was to spend at first is spent within the seconds that are left out.
        assert!(at(Who::ThreeAttempts, 1.0).load < 1.05);
        assert!(at(Who::ThreeRetries, 1.0).load > 3.0);
        assert!(at(Who::NoRetry, 0.3).success < 0.8);
    }
}
