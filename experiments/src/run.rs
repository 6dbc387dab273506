//! How runs are made: in paused time, seeded, as many at once as there are processors.

use std::{future::Future, sync::Mutex, thread};

use anyhow::{Context as _, Result};
use rand::{SeedableRng, rngs::StdRng};
use tokio::runtime::Builder;

/// Runs a simulation to its end in paused time, where hours pass in moments.
///
/// All of it happens in this thread, so that one seed gives one sequence of events. `seed` is for the AWS
/// SDK, which draws its jitter from the thread's own generator; everything else is handed a source of its
/// own.
///
/// # Errors
///
/// What the simulation answers, and where a runtime cannot be made.
pub fn simulate<T>(seed: u64, simulation: impl Future<Output = Result<T>>) -> Result<T> {
    fastrand::seed(seed);
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("cannot make a runtime")?
        .block_on(simulation)
}

/// Makes the runs of all `cases`, some at once, and answers their outcomes in the cases' order.
///
/// # Errors
///
/// That of the first case that fails.
pub fn each<C: Sync, T: Send>(cases: &[C], run: impl Fn(&C) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = Mutex::new(cases.iter().enumerate());
    let outcomes = Mutex::new(Vec::new());
    let take = || next.lock().ok().and_then(|mut cases| cases.next());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, case)) = take() {
                    let outcome = run(case);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push((index, outcome));
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// A source of randomness for one purpose of one run, apart from all others of that run.
#[must_use]
pub fn randomness(seed: u64, purpose: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_the_order_of_their_cases() {
        let cases: Vec<u32> = (0..50).collect();
        assert_eq!(each(&cases, |case| Ok(*case)).unwrap(), cases);
        let failing = |case: &u32| {
            anyhow::ensure!(*case < 49);
            Ok(*case)
        };
        assert!(each(&cases, failing).is_err());
    }
}
