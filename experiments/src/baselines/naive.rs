//! The loop that AWS's own teaching sample for Bedrock has: five attempts, `2^n` seconds between them and up
//! to a tenth more, for throttling alone.

use bedrock_sim::Simulator;
use rand::RngExt;
use tokio::time::{Duration, sleep};
use tower::{ServiceExt, service_fn, util::BoxCloneService};
use tower_bedrock::{HasFault, Priority, Target};

use crate::{
    job::{Job, Subject},
    run::randomness,
    shared::Shared,
};

const ATTEMPTS: u32 = 5;

/// A client that calls Bedrock in such a loop.
#[must_use]
pub fn five_attempts(simulator: &Simulator, target: Target, seed: u64) -> Subject {
    looping(simulator, target, seed, ATTEMPTS)
}

/// A client that calls one model in such a loop, and then another in a second one.
#[must_use]
pub fn five_attempts_each(
    simulator: &Simulator,
    first: Target,
    second: Target,
    seed: u64,
) -> Subject {
    let first = looping(simulator, first, seed, ATTEMPTS);
    let second = looping(simulator, second, seed.wrapping_add(1), ATTEMPTS);
    BoxCloneService::new(service_fn(move |job: Job| {
        let (first, second) = (first.clone(), second.clone());
        async move {
            match first.oneshot(job).await {
                Ok(()) => Ok(()),
                Err(_) => second.oneshot(job).await,
            }
        }
    }))
}

/// A client that calls Bedrock once.
#[must_use]
pub fn once(simulator: &Simulator, target: Target) -> Subject {
    looping(simulator, target, 0, 1)
}

fn looping(simulator: &Simulator, target: Target, seed: u64, attempts: u32) -> Subject {
    let bedrock = simulator.service();
    let rng = Shared::new(randomness(seed, 100));
    BoxCloneService::new(service_fn(move |job: Job| {
        let (bedrock, target, rng) = (bedrock.clone(), target.clone(), rng.clone());
        async move {
            let mut attempt = 0;
            loop {
                let fault = match bedrock
                    .clone()
                    .oneshot(job.to(&target, Priority::Normal))
                    .await
                {
                    Ok(_) => return Ok(()),
                    Err(error) => error.fault().kind(),
                };
                attempt += 1;
                if attempt >= attempts || fault.exception() != Some("ThrottlingException") {
                    return Err(fault);
                }
                let delay = f64::from(2_u32.pow(attempt - 1));
                let jitter = rng.with(|rng| rng.random_range(0.0..0.1)) * delay;
                sleep(Duration::from_secs_f64(delay + jitter)).await;
            }
        }
    }))
}
