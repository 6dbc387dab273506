//! Holds the gateway under steady overload, with random faults and clients that vanish, and looks for what is left
//! behind: memory, tasks, connections, places of bodies, reservations.
//!
//! Started by `cargo xtask soak`. Simulator, gateway and clients have a runtime each, so that the gateway's tasks are
//! its own; they talk over sockets. The load is followed by a rest of more than two minutes, in which quotas' windows
//! and idle connections end, and by calls that nothing disturbs, after which both sides must have counted the same.

mod checks;
mod client;
mod metrics;
mod stage;

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, interval, sleep},
};

use crate::{
    checks::{Checks, Memory},
    client::{Client, Tally},
    stage::{Left, Stage},
};

/// More than quotas allow, whatever each call costs.
const CLIENTS: u64 = 64;
/// What is sent at the end, and must be counted alike by both sides.
const LAST_CALLS: u64 = 20;
/// Longer than two of a quota's windows: what was used leaves it in one, what was used beyond the limit is charged as
/// it does, and leaves in another. Longer, too, than idle connections are kept.
const REST: Duration = Duration::from_secs(125);
const SAMPLES: u32 = 40;

fn main() -> Result<ExitCode> {
    let (time, seed) = arguments()?;
    println!("soaking for {time:?}, seed {seed}");
    let stage = Stage::start(seed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let passed = runtime.block_on(soak(&stage, time, seed))?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn arguments() -> Result<(Duration, u64)> {
    let mut arguments = std::env::args().skip(1);
    let (mut minutes, mut seed) = (30.0, 1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{name} has no value"))?;
        match name.as_str() {
            "--minutes" => minutes = value.parse().context("--minutes is no number")?,
            "--seed" => seed = value.parse().context("--seed is no number")?,
            _ => bail!("unknown argument {name:?}"),
        }
    }
    let time = Duration::try_from_secs_f64(minutes * 60.0).context("--minutes is no time")?;
    // A tick of no length is none.
    ensure!(
        time >= Duration::from_secs(1),
        "--minutes is less than a second"
    );
    Ok((time, seed))
}

async fn soak(stage: &Stage, time: Duration, seed: u64) -> Result<bool> {
    let mut checks = Checks::default();
    let client = Client::new(stage.address());
    // What the first call sets up stays.
    client.call_undisturbed().await?;
    sleep(Duration::from_millis(200)).await;
    let tasks = stage.tasks();
    let files = checks::open_files();

    stage.disturb(time)?;
    let (tally, memory) = load(stage, &client, time, seed).await?;
    tally.print();
    let sent = stage.sent();
    sent.print();
    memory.check(&mut checks);
    checks.that(
        "answers that ended well and were not whole",
        tally.partial,
        0,
    );
    checks.that("calls that were never answered", tally.stuck, 0);
    checks.that("throttles that were no faults", sent.throttled, 0);
    checks.is("some calls were answered", tally.answered > 0);
    checks.is(
        "some were turned away: it was an overload",
        tally.throttled > 0,
    );

    stage.undisturb();
    let until = Instant::now() + Duration::from_secs(30);
    let mut left = stage.left().await?;
    while left != Left::default() && Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
        left = stage.left().await?;
    }
    checks.that("calls in flight", left.calls, 0);
    checks.that("tokens reserved", left.tokens, 0);
    checks.that("calls that wait", left.waiting, 0);
    checks.that("bytes of bodies held", left.bytes, 0);
    // What vanished clients' answers cost is not known on this side, so it is counted in full.
    let (ours, theirs) = stage.levels();
    println!("level of the quota: {ours} here, {theirs} there");
    checks.is("the level here is no lower than there", ours >= theirs);

    println!("resting for {REST:?}");
    sleep(REST).await;
    checks.that("levels after the rest", stage.levels(), (0, 0));
    checks.at_most("tasks of the gateway", stage.tasks(), tasks);
    checks.at_most("open files and sockets", checks::open_files(), files);

    stage.forget();
    for _ in 0..LAST_CALLS {
        client.call_undisturbed().await?;
    }
    checks.that("circuits not closed", stage.broken().await?, 0);
    let (ours, theirs) = stage.levels();
    println!("level of the quota after {LAST_CALLS} calls: {ours} here, {theirs} there");
    checks.that("level here, as there", ours, theirs);
    checks.that(
        "level there, as in the ledger",
        theirs,
        stage.sent().settled,
    );
    Ok(checks.passed())
}

async fn load(
    stage: &Stage,
    client: &Client,
    time: Duration,
    seed: u64,
) -> Result<(Tally, Memory)> {
    let until = Instant::now() + time;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        // Of a seed and a number each, so that no two do the same.
        let seed = seed.wrapping_mul(CLIENTS).wrapping_add(number);
        clients.spawn(client.clone().call_until(until, seed));
    }
    let mut memory = Memory::default();
    let mut tick = interval(time / SAMPLES);
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                Some(of_client) => tally.add(of_client?),
                None => return Ok((tally, memory)),
            },
            _ = tick.tick() => {
                memory.sample();
                stage.collect();
            }
        }
    }
}
