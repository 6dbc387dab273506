//! One quota that nobody has been told of, shared by processes that do not talk to one another.

mod page;

use anyhow::{Context as _, Result};
use bedrock_sim::{LedgerEntry, ModelSettings, Simulator, WindowShape};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};
use tower_bedrock::retry::Policy;

use crate::{
    Options, Report,
    baselines::sdk,
    job::{Job, Subject, draw},
    load::attend,
    ours::{Ours, nothing_known},
    run::{each, randomness, simulate},
    stats::ratio,
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
    const fn name(self) -> &'static str {
        match self {
            Self::Second => "a second's worth",
            Self::Minute => "a minute's worth",
        }
    }

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
    Ok(page::of(&measure(options)?, options.seed))
}

/// What everybody comes to by a plan, under each kind of bucket.
#[derive(Clone, Debug)]
struct Measured {
    plan: Plan,
    groups: Vec<(Bucket, Vec<Group>)>,
}

fn measure(options: &Options) -> Result<Measured> {
    let plan = options.size(
        Plan {
            from: 120,
            doubles: 900,
            halves: 1_200,
            end: 1_500,
        },
        Plan {
            from: 15,
            doubles: 35,
            halves: 45,
            end: 55,
        },
    );
    let seeds = options.seeds(options.size(2, 1));
    let buckets = options.size(
        [Bucket::Second, Bucket::Minute].as_slice(),
        &[Bucket::Second],
    );
    let groups = (buckets.iter())
        .map(|bucket| Ok((*bucket, groups(*bucket, &seeds, plan)?)))
        .collect::<Result<_>>()?;
    Ok(Measured { plan, groups })
}

/// The runs of one client in so many processes.
#[derive(Clone, Debug)]
struct Group {
    who: Who,
    processes: u64,
    runs: Vec<Run>,
}

/// The runs of each client with each number of processes.
fn groups(bucket: Bucket, seeds: &[u64], plan: Plan) -> Result<Vec<Group>> {
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
        .map(|(case, runs)| Group {
            who: case.who,
            processes: case.processes,
            runs: runs.to_vec(),
        })
        .collect())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_found_with_few_throttles() {
        let measured = measure(&Options::QUICK).unwrap();
        let again = measure(&Options::QUICK).unwrap();
        let page = |of: &Measured| page::of(of, 1).markdown();
        assert_eq!(page(&measured), page(&again));

        let of = |who, processes| {
            let asked = |group: &&Group| group.who == who && group.processes == processes;
            measured.groups[0].1.iter().find(asked).unwrap()
        };
        // Forty processes have not found a quota of ten calls a second within seconds.
        for processes in [1, 10] {
            let ours = of(Who::Quota, processes);
            assert!(
                ours.utilisation() > 0.9,
                "{processes}: {}",
                ours.utilisation()
            );
            assert!(ours.throttles() < 0.1, "{processes}: {}", ours.throttles());
            assert!(of(Who::FullJitter, processes).throttles() > 0.2);
        }
    }
}
