//! What the benchmarks of the layers have in common: one call is measured in time, in allocations and in
//! instructions.
//!
//! Time is criterion's. A benchmark's name ends in the allocations of one call: `retry/one attempt (0 allocations)`.
//! Instructions are counted from outside, by running one benchmark for a number of calls under
//! `valgrind --tool=cachegrind`, and for another number: [`COUNT_CASE`] and [`COUNT_CALLS`] say which and how many.
//! `cargo xtask bench layers` does all of it.

mod calls;

use std::{
    env, fmt,
    time::{Duration, SystemTime},
};

use criterion::Criterion;

pub use self::calls::{Later, call};

/// The environment variable that names the one benchmark to run for its instructions.
pub const COUNT_CASE: &str = "BENCH_COUNT_CASE";

/// The environment variable with the number of calls to make of it.
pub const COUNT_CALLS: &str = "BENCH_COUNT_CALLS";

/// The benchmarks of one program.
pub struct Bench {
    mode: Mode,
}

enum Mode {
    Timed(Box<Criterion>),
    Counted { case: String, calls: u64 },
}

impl Bench {
    /// As the command line and the environment say.
    #[must_use]
    pub fn from_args() -> Self {
        let calls = env::var(COUNT_CALLS)
            .ok()
            .and_then(|calls| calls.parse().ok());
        let counted = env::var(COUNT_CASE).ok().zip(calls);
        Self {
            mode: match counted {
                Some((case, calls)) => Mode::Counted { case, calls },
                None => Mode::Timed(Box::new(
                    Criterion::default()
                        .warm_up_time(Duration::from_millis(300))
                        .measurement_time(Duration::from_secs(1))
                        .configure_from_args(),
                )),
            },
        }
    }

    /// Measures a call. `make` makes what it needs, and is not measured.
    pub fn case<C: FnMut()>(&mut self, name: &str, make: impl FnOnce() -> C) {
        match &mut self.mode {
            Mode::Counted { case, calls } if *case == name => {
                let mut call = make();
                (0..*calls).for_each(|_| call());
            }
            Mode::Counted { .. } => {}
            Mode::Timed(criterion) => {
                let mut call = make();
                // The first call makes the state that is kept.
                call();
                let allocations = allocation_counter::measure(&mut call).count_total;
                let name = format!("{name} ({allocations} allocations)");
                criterion.bench_function(&name, |bencher| bencher.iter(&mut call));
            }
        }
    }

    /// Measures a call that leaves something behind, which `clear` takes away after every hundred calls, unmeasured.
    pub fn case_cleared<C: FnMut(), D: FnMut()>(
        &mut self,
        name: &str,
        make: impl FnOnce() -> (C, D),
    ) {
        const CALLS: u64 = 100;
        let Mode::Timed(criterion) = &mut self.mode else {
            return;
        };
        let (mut call, mut clear) = make();
        call();
        clear();
        let allocations = allocation_counter::measure(&mut call).count_total;
        let name = format!("{name} ({allocations} allocations)");
        criterion.bench_function(&name, |bencher| {
            bencher.iter_custom(|calls| {
                let mut taken = Duration::ZERO;
                let mut left = calls;
                while left > 0 {
                    clear();
                    let now = left.min(CALLS);
                    let start = SystemTime::now();
                    (0..now).for_each(|_| call());
                    taken += start.elapsed().unwrap_or_default();
                    left -= now;
                }
                taken
            });
        });
    }

    /// Measures what a call takes in each of two threads at once, which are told apart by their number.
    pub fn two_threads<C: Fn(usize) + Sync>(&mut self, name: &str, make: impl FnOnce() -> C) {
        let Mode::Timed(criterion) = &mut self.mode else {
            return;
        };
        let call = make();
        call(0);
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| {
                let start = SystemTime::now();
                std::thread::scope(|scope| {
                    for thread in 0..2 {
                        let call = &call;
                        scope.spawn(move || (0..calls).for_each(|_| call(thread)));
                    }
                });
                start.elapsed().unwrap_or_default()
            });
        });
    }

    /// Ends the program's output.
    pub fn finish(self) {
        if let Mode::Timed(criterion) = self.mode {
            criterion.final_summary();
        }
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}
