//! A dependency that fails independently of load: what retries cost, and what they bring.

use anyhow::Result;
use bedrock_sim::{FaultName, FaultSpec, ModelSettings, Simulator};
use tokio::time::Duration;
use tower_bedrock::Target;
use tower_bedrock::retry::Policy;

use crate::{
    Options, Report, Table,
    baselines::{naive, sdk},
    job::{Subject, draw},
    load::{open_loop, poisson},
    ours::Ours,
    plot::{Chart, Line},
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

/// Runs the experiment.
///
/// # Errors
///
/// What a builder or the simulator objects to.
pub fn run(options: &Options) -> Result<Report> {
    let cases: Vec<(Who, f64)> = ALL
        .iter()
        .flat_map(|who| RATES.map(|rate| (*who, rate)))
        .collect();
    let outcomes = each(&cases, |(who, rate)| {
        simulate(options.seed, one(*who, *rate, options))
    })?;
    let by_who = || ALL.iter().zip(outcomes.chunks(RATES.len()));

    let mut table = Table::new(
        std::iter::once("load / success at a failure rate of".to_owned())
            .chain(RATES[1..].iter().map(|rate| format!("{rate:.1}"))),
    );
    for (who, outcomes) in by_who() {
        let cells = outcomes[1..]
            .iter()
            .map(|o| format!("{:.2} / {:.3}", o.load, o.success));
        table.row(std::iter::once(who.name().to_owned()).chain(cells));
    }
    let lines = |of: fn(&Outcome) -> f64| {
        by_who()
            .map(|(who, outcomes)| {
                Line::new(
                    who.name(),
                    RATES.iter().copied().zip(outcomes.iter().map(of)),
                )
            })
            .collect()
    };
    let chart = |title: &str, y: &str, of| Chart {
        title: title.into(),
        x: "share of attempts that fail".into(),
        y: y.into(),
        lines: lines(of),
    };
    Ok(Report {
        name: "failing-dependency",
        title: "A failing dependency",
        setup: SETUP.into(),
        tables: vec![
            (
                "Calls sent for each that was made, and the share of those made that were answered"
                    .into(),
                table,
            ),
            (
                "The two points that are published, and the goal".into(),
                published(&outcomes),
            ),
        ],
        findings: FINDINGS.into(),
        charts: vec![
            chart("Load on the dependency", "calls sent per call made", |o| {
                o.load
            }),
            chart("Calls answered", "share of calls made", |o| o.success),
        ],
        seed: options.seed,
    })
}

fn published(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new([
        "",
        "published, 0.3",
        "here, 0.3",
        "published, 1.0",
        "here, 1.0",
    ]);
    let known = [
        (Who::ThreeRetries, "1.42 / .992", "4.00 / 0"),
        (Who::Sdk(sdk::Retries::Standard), "1.39 / .972", "1.00 / 0"),
        (Who::Sdk(sdk::Retries::Standard2026), "1.17 / .816", ""),
        (Who::ThreeAttempts, "goal: 1.40 / .970", "goal: 1.01"),
        (Who::FiveAttempts, "", ""),
    ];
    for (who, at_a_third, at_one) in known {
        let row = ALL
            .iter()
            .position(|other| *other == who)
            .unwrap_or_default();
        let here = |column: usize| {
            let outcome = outcomes[row * RATES.len() + column];
            format!("{:.3} / {:.3}", outcome.load, outcome.success)
        };
        table.row([who.name(), at_a_third, &here(3), at_one, &here(10)]);
    }
    table
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
    let (from, until) = options.size((MINUTE, 3 * MINUTE), (MINUTE / 2, MINUTE));
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

const SETUP: &str = "todo";
const FINDINGS: &str = "todo";
