//! One quota that nobody has been told of, shared by processes that do not talk to one another.

use anyhow::{Context as _, Result};
use bedrock_sim::{LedgerEntry, ModelSettings, Simulator, WindowShape};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};
use tower_bedrock::retry::Policy;

use crate::{
    Options, Report, Table,
    baselines::sdk,
    job::{Job, Subject, draw},
    load::attend,
    ours::{Ours, nothing_known},
    plot::{Chart, Line},
    run::{each, randomness, simulate},
    stats::{estimate, ratio},
    world::{self, PRIMARY, came, is_throttled},
};

const REQUESTS_A_SECOND: u64 = 10;
const WORKERS: u64 = 40;
const PROCESSES: [u64; 3] = [1, 10, 40];
/// Nobody gives up.
const PATIENCE: Duration = Duration::from_secs(86_400);
/// For how long a worker leaves it whose call failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Recovery is looked for over so many seconds at a time.
const WINDOW: u64 = 10;

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Adaptive,
    FullJitter,
    Quota,
}

impl Who {
    const ALL: [Self; 3] = [Self::Adaptive, Self::FullJitter, Self::Quota];

    const fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "AWS SDK, adaptive",
            Self::FullJitter => "full jitter, no limit",
            Self::Quota => "ours: quota",
        }
    }

    fn subject(self, simulator: &Simulator, seed: u64) -> Result<Subject> {
        let target = world::target(PRIMARY)?;
        let ours = Ours::new(simulator.clone(), target.clone(), seed);
        match self {
            Self::Adaptive => sdk::client(simulator, &target, sdk::Retries::Adaptive),
            Self::FullJitter => ours
                .retry_with(Policy::builder().max_attempts(1_000).build()?, None)
                .build(),
            Self::Quota => ours.retry(Policy::default()).quota(nothing_known()).build(),
        }
    }
}

/// When the quota doubles, when it is halved to what it was, and the end, in seconds.
#[derive(Clone, Copy, Debug)]
struct Plan {
    from: u64,
    doubles: u64,
    halves: u64,
    end: u64,
}

/// How much of its quota the service lets a client save up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bucket {
    /// A second's worth: what "so many requests a second" mostly is.
    Second,
    /// A minute's worth: what Bedrock's requests a minute may well be.
    Minute,
}

impl Bucket {
    /// How much faster than the clock the simulator's time runs. Its quotas are by the minute; where that is
    /// to be a second, its minutes last one.
    const fn time_scale(self) -> u64 {
        match self {
            Self::Second => 60,
            Self::Minute => 1,
        }
    }

    /// A tenth of a second for each answer, so that the workers could make forty times as many calls as the
    /// quota allows.
    fn settings(self, requests_per_second: u64) -> ModelSettings {
        let scale = self.time_scale();
        ModelSettings {
            requests_per_minute: Some(Some(requests_per_second * 60 / scale)),
            tokens_per_minute: Some(None),
            tokens_per_day: Some(None),
            window: Some(WindowShape::Bucket),
            time_to_first_token_ms: Some(100 * scale),
            tokens_per_second: Some(1_000_000.0),
            ..world::pace()
        }
    }

    fn simulator(self, seed: u64) -> Result<Simulator> {
        world::scaled(
            seed,
            self.time_scale() as f64,
            &self.settings(REQUESTS_A_SECOND),
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    bucket: Bucket,
    who: Who,
    processes: u64,
    seed: u64,
}

/// What is read off one run.
#[derive(Clone, Debug)]
struct Run {
    utilisation: f64,
    throttles_per_success: f64,
    after_doubling: Option<f64>,
    after_halving: Option<f64>,
    /// Answers a second, in windows.
    rate: Vec<f64>,
}

/// Runs the experiment.
///
/// # Errors
///
/// What a builder or the simulator objects to.
pub fn run(options: &Options) -> Result<Report> {
    let plan = options.size(
        Plan {
            from: 120,
            doubles: 900,
            halves: 1_200,
            end: 1_500,
        },
        Plan {
            from: 60,
            doubles: 240,
            halves: 300,
            end: 360,
        },
    );
    let seeds = options.seeds(options.size(2, 1));
    let measured = |bucket| measure(bucket, &seeds, plan);
    let (second, minute) = (measured(Bucket::Second)?, measured(Bucket::Minute)?);
    let mut of_second = table(&second);
    for known in KNOWN {
        of_second.row(known);
    }
    Ok(Report {
        name: "unknown-quota",
        title: "A quota that nobody was told of",
        setup: SETUP.into(),
        tables: vec![
            ("A second's worth can be saved up".into(), of_second),
            ("A minute's worth can be saved up".into(), table(&minute)),
        ],
        findings: FINDINGS.into(),
        charts: vec![
            chart("A second's worth saved up", &second, plan),
            chart("A minute's worth saved up", &minute, plan),
        ],
        seed: options.seed,
    })
}

/// The runs of each client with each number of processes.
fn measure(bucket: Bucket, seeds: &[u64], plan: Plan) -> Result<Vec<(Who, u64, Vec<Run>)>> {
    let mut cases = Vec::new();
    for who in Who::ALL {
        for processes in PROCESSES {
            cases.extend(seeds.iter().map(|seed| Case {
                bucket,
                who,
                processes,
                seed: *seed,
            }));
        }
    }
    let runs = each(&cases, |case| simulate(case.seed, one(*case, plan)))?;
    let groups = cases
        .iter()
        .step_by(seeds.len())
        .zip(runs.chunks(seeds.len()));
    Ok(groups
        .map(|(case, runs)| (case.who, case.processes, runs.to_vec()))
        .collect())
}

fn table(groups: &[(Who, u64, Vec<Run>)]) -> Table {
    let mut table = Table::new([
        "",
        "processes",
        "quota used",
        "429s an answer",
        "back after doubling",
        "back after halving",
    ]);
    for (who, processes, runs) in groups {
        let of = |of: fn(&Run) -> f64| estimate(runs.iter().map(of));
        table.row([
            who.name().to_owned(),
            processes.to_string(),
            format!("{:.1}%", 100.0 * of(|run| run.utilisation).mean),
            format!("{:.4}", of(|run| run.throttles_per_success).mean),
            slowest(runs, |run| run.after_doubling),
            slowest(runs, |run| run.after_halving),
        ]);
    }
    table
}

fn chart(title: &str, groups: &[(Who, u64, Vec<Run>)], plan: Plan) -> Chart {
    let of_ten = groups.iter().filter(|(_, processes, _)| *processes == 10);
    let lines = of_ten.map(|(who, _, runs)| {
        let points = runs[0].rate.iter().enumerate();
        Line::new(
            who.name(),
            points.map(|(index, rate)| ((index as u64 * WINDOW) as f64 / 60.0, *rate)),
        )
    });
    Chart {
        title: format!(
            "{title}: ten processes, a quota of 10, from minute {} of 20, from minute {} of 10 again",
            plan.doubles / 60,
            plan.halves / 60,
        ),
        x: "minutes".into(),
        y: "answers a second".into(),
        lines: lines.collect(),
    }
}

/// What AWS's adaptive retry is known to reach, and the goal.
const KNOWN: [[&str; 6]; 6] = [
    [
        "known: AWS's adaptive retry",
        "1",
        "97.2%",
        "0.0320",
        "",
        "",
    ],
    ["", "10", "91.8%", "0.0070", "", ""],
    ["", "40", "83.9%", "0.0060", "", ""],
    ["goal", "1", "98.0%", "0.0060", "30 s", "30 s"],
    ["", "10", "98.0%", "0.0060", "30 s", "30 s"],
    ["", "40", "98.0%", "0.0060", "30 s", "30 s"],
];

async fn one(case: Case, plan: Plan) -> Result<Run> {
    let simulator = case.bucket.simulator(case.seed)?;
    let start = Instant::now();
    let end = Duration::from_secs(plan.end);
    let mut workers = JoinSet::new();
    for process in 0..case.processes {
        let subject = case.who.subject(&simulator, case.seed ^ (process << 40))?;
        for worker in 0..WORKERS / case.processes {
            let seed = case.seed ^ (process << 40) ^ (worker << 32);
            workers.spawn(repeat(subject.clone(), seed, start, end));
        }
    }
    let model = PRIMARY.parse().context("no such model")?;
    for (at, requests) in [
        (plan.doubles, 2 * REQUESTS_A_SECOND),
        (plan.halves, REQUESTS_A_SECOND),
    ] {
        sleep_until(start + Duration::from_secs(at)).await;
        simulator.set_model(&model, None, &case.bucket.settings(requests))?;
    }
    sleep_until(start + end).await;
    Ok(Run::new(&simulator.ledger().entries, case.bucket, plan))
}

async fn repeat(subject: Subject, seed: u64, start: Instant, end: Duration) {
    let mut rng = randomness(seed, 1);
    while start.elapsed() < end {
        let job = Job {
            output_tokens: 1,
            max_output_tokens: 1,
            ..draw(&mut rng)
        };
        if attend(subject.clone(), job, start, PATIENCE)
            .await
            .result
            .is_err()
        {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Run {
    fn new(ledger: &[LedgerEntry], bucket: Bucket, plan: Plan) -> Self {
        // In the order they came.
        let before = |second: u64| {
            let simulated = Duration::from_secs(second * bucket.time_scale());
            ledger.partition_point(|entry| came(entry) < simulated)
        };
        let count = |from: u64, until: u64, what: &dyn Fn(&LedgerEntry) -> bool| {
            ledger[before(from)..before(until)]
                .iter()
                .filter(|entry| what(entry))
                .count() as f64
        };
        let answered = |entry: &LedgerEntry| entry.outcome == "ok" || entry.outcome == "in_flight";
        let rate = |from: u64| count(from, from + WINDOW, &answered) / WINDOW as f64;
        let quota = REQUESTS_A_SECOND as f64;
        // Within 5% of what the quota gives, and no more than 5% of the answers bought with a 429.
        let is_back = |from: u64, quota: f64| {
            let throttled = count(from, from + WINDOW, &is_throttled) / WINDOW as f64;
            rate(from) >= 0.95 * quota && throttled <= 0.05 * quota
        };
        let back = |from: u64, until: u64, quota: f64| {
            (from..until - WINDOW)
                .find(|at| is_back(*at, quota))
                .map(|at| (at - from) as f64)
        };
        let (answers, throttles) = (
            count(plan.from, plan.doubles, &answered),
            count(plan.from, plan.doubles, &is_throttled),
        );
        Self {
            utilisation: answers / (quota * (plan.doubles - plan.from) as f64),
            throttles_per_success: ratio(throttles, answers),
            after_doubling: back(plan.doubles, plan.halves, 2.0 * quota),
            after_halving: back(plan.halves, plan.end, quota),
            rate: (0..plan.end / WINDOW)
                .map(|window| rate(window * WINDOW))
                .collect(),
        }
    }
}

fn slowest(runs: &[Run], of: fn(&Run) -> Option<f64>) -> String {
    let all: Option<Vec<f64>> = runs.iter().map(of).collect();
    match all {
        Some(all) => format!("{:.0} s", all.into_iter().fold(0.0, f64::max)),
        None => "never".into(),
    }
}

const SETUP: &str = "todo";
const FINDINGS: &str = "todo";
