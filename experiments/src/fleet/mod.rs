//! One quota that many processes share.

mod case;
mod page;
mod run;
mod store;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::Result;
use bedrock_sim::{Config, ModelSettings, Simulator, WindowShape};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};
use tower_bedrock::{
    quota::{
        LimiterBuilder, Window,
        fleet::{Fleet, MemoryStore},
    },
    retry::Policy,
};

use self::{
    case::{Case, Event, Prompts, Spread, Who},
    run::Run,
    store::{Link, Meeting, Served},
};
use crate::{
    Options, Report,
    job::{Subject, draw},
    load::attend,
    ours::{Ours, tokens_per_minute},
    run::{each, randomness, simulate},
    world,
};

/// What the whole account may use.
const TOKENS_PER_MINUTE: u64 = 6_000_000;
/// An output token of it counts once, so that no call costs more than it reserves.
const MODEL: &str = "us.amazon.nova-pro-v1:0";
const PROCESSES: [usize; 4] = [2, 4, 8, 16];
/// Together they could use more than the quota.
const WORKERS: usize = 1_200;
/// Of those who have little to do, each has so many.
const FEW: usize = 4;
const PATIENCE: Duration = Duration::from_secs(86_400);
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the experiment.
///
/// # Errors
///
/// What a builder, the simulator or the server objects to.
pub fn run(options: &Options) -> Result<Report> {
    Ok(page::of(&measure(options)?, options.seed))
}

/// The runs of everything that is compared.
#[derive(Clone, Debug)]
struct Measured {
    steady: Vec<Run>,
    mixed: Vec<Run>,
    events: Vec<Run>,
    served: Vec<Run>,
}

fn measure(options: &Options) -> Result<Measured> {
    let minutes = options.size(12, 4);
    let seed = options.seed;
    let case = |who, processes, spread, event, served| Case {
        who,
        processes,
        spread,
        event,
        prompts: Prompts::Prose,
        served,
        seed,
    };
    let counts = options.size(PROCESSES.as_slice(), &[4]);
    // What is there to be reached, where nothing is shared.
    let mut steady = vec![case(Who::Even, 1, Spread::Even, Event::Nothing, false)];
    for spread in [Spread::Even, Spread::Half] {
        for who in Who::ALL {
            let cases = counts.iter();
            steady.extend(cases.map(|count| case(who, *count, spread, Event::Nothing, false)));
        }
    }
    let mixed: Vec<Case> = options
        .size([1].iter().chain(&PROCESSES).collect(), vec![&1])
        .into_iter()
        .map(|count| Case {
            prompts: Prompts::Mixed,
            ..case(Who::Fleet, *count, Spread::Even, Event::Nothing, false)
        })
        .map(|case| match case.processes {
            1 => Case {
                who: Who::Even,
                ..case
            },
            _ => case,
        })
        .collect();
    let events: Vec<Case> = options
        .size(Event::ALL.as_slice(), &[])
        .iter()
        .map(|event| case(Who::Fleet, 8, Spread::Even, *event, false))
        .collect();
    let served: Vec<Case> = options
        .size(PROCESSES.as_slice(), &[])
        .iter()
        .map(|count| case(Who::Fleet, *count, Spread::Even, Event::Nothing, true))
        .collect();
    let runs = |cases: &[Case]| -> Result<Vec<Run>> {
        let runs = each(cases, |case| simulate(case.seed, one(*case, minutes)))?;
        Ok(runs.into_iter().flatten().collect())
    };
    Ok(Measured {
        steady: runs(&steady)?,
        mixed: runs(&mixed)?,
        events: runs(&events)?,
        served: runs(&served)?,
    })
}

/// A process: what it works with, and what works in it.
struct Process {
    cut: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// `None` where it takes a server, and none is installed.
async fn one(case: Case, minutes: u64) -> Result<Option<Run>> {
    let settings = ModelSettings {
        requests_per_minute: Some(None),
        tokens_per_minute: Some(Some(TOKENS_PER_MINUTE)),
        tokens_per_day: Some(None),
        window: Some(WindowShape::Sliding),
        burndown: Some(1),
        ..world::pace()
    };
    let mut config = Config {
        seed: case.seed,
        ledger_entries: 2_000_000,
        ..Config::default()
    };
    config.models.insert(MODEL.into(), settings);
    let simulator = Simulator::new(config)?;
    let memory = MemoryStore::new();
    let (meeting, server) = if case.served {
        match Served::start()? {
            Some((server, store)) => (Meeting::Server(store), Some(server)),
            None => return Ok(None),
        }
    } else {
        (Meeting::Memory(memory.clone()), None)
    };
    let start = Instant::now();
    let end = Duration::from_secs(60 * minutes);
    let mut processes = Vec::new();
    for number in 0..case.processes {
        // Each has a clock of its own, that began at a moment of its own.
        sleep_until(start + Duration::from_millis(5_000 * number as u64 / case.processes as u64))
            .await;
        processes.push(process(case, number, &simulator, &meeting, start, end)?);
    }
    let at = |seconds| sleep_until(start + Duration::from_secs(seconds));
    at(240).await;
    match case.event {
        Event::Nothing => {}
        Event::Killed => processes[0].tasks.abort_all(),
        Event::Cut => {
            processes[0].cut.store(true, Relaxed);
            at(300).await;
            processes[0].cut.store(false, Relaxed);
        }
        Event::Down => {
            processes
                .iter()
                .for_each(|process| process.cut.store(true, Relaxed));
            at(540).await;
            processes
                .iter()
                .for_each(|process| process.cut.store(false, Relaxed));
        }
        Event::Flushed => memory.flush(),
    }
    sleep_until(start + end).await;
    let ledger = simulator.ledger().entries;
    let round_trips = match (&meeting, case.who) {
        (_, Who::Even | Who::Alone) => None,
        (Meeting::Memory(store), _) => Some(store.round_trips()),
        (Meeting::Server(store), _) => Some(store.round_trips()?),
    };
    drop(server);
    Ok(Some(Run::new(case, &ledger, round_trips, minutes)))
}

fn process(
    case: Case,
    number: usize,
    simulator: &Simulator,
    meeting: &Meeting,
    start: Instant,
    end: Duration,
) -> Result<Process> {
    let seed = case.seed ^ ((number as u64) << 40);
    let mut tasks = JoinSet::new();
    let cut = Arc::new(AtomicBool::new(false));
    let limiter = match case.who {
        Who::Fleet => {
            let link = Link {
                store: meeting.clone(),
                cut: Arc::clone(&cut),
            };
            let (fleet, worker) = Fleet::builder(link)
                .id((number as u128 + 1) << 64)
                .build()?;
            tasks.spawn(worker.run());
            limits(TOKENS_PER_MINUTE).fleet(fleet)
        }
        Who::Even => limits(TOKENS_PER_MINUTE / case.processes as u64),
        Who::Alone => limits(TOKENS_PER_MINUTE),
    };
    let target = world::target(MODEL)?;
    let subject = Ours::new(simulator.clone(), target, seed)
        .retry(Policy::default())
        .quota(limiter)
        .build()?;
    let busy = match case.spread {
        Spread::Even => case.processes,
        Spread::Half => case.processes / 2,
    };
    let workers = if number < busy { WORKERS / busy } else { FEW };
    for worker in 0..workers {
        let seed = seed ^ ((worker as u64) << 20);
        tasks.spawn(repeat(subject.clone(), case.prompts, seed, start, end));
    }
    Ok(Process { cut, tasks })
}

fn limits(tokens: u64) -> LimiterBuilder {
    tokens_per_minute(tokens, Window::Sliding).max_wait(Duration::from_secs(3_600))
}

async fn repeat(subject: Subject, prompts: Prompts, seed: u64, start: Instant, end: Duration) {
    let mut rng = randomness(seed, 1);
    while start.elapsed() < end {
        let job = match prompts {
            Prompts::Prose => draw(&mut rng).in_prose(),
            Prompts::Mixed => draw(&mut rng),
        };
        let sample = attend(subject.clone(), job, start, PATIENCE).await;
        if sample.result.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_uses_a_quota_wherever_the_work_is() {
        let run = |who| {
            let case = Case {
                who,
                processes: 4,
                spread: Spread::Half,
                event: Event::Nothing,
                prompts: Prompts::Prose,
                served: false,
                seed: 1,
            };
            simulate(case.seed, one(case, 5)).unwrap().unwrap()
        };
        let (fleet, even) = (run(Who::Fleet), run(Who::Even));
        // Nothing is admitted beyond the limit, so the level is never above it.
        assert!((0.97..=1.0).contains(&fleet.level), "{}", fleet.level);
        assert!(fleet.utilisation > 0.9, "{}", fleet.utilisation);
        assert_eq!(fleet.throttles, 0);
        assert!(even.utilisation < 0.7, "{}", even.utilisation);
    }
}
