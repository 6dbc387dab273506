//! Runs steps one after the other and ends with a verdict on each.

#[expect(
    clippy::disallowed_types,
    reason = "steps are timed by the wall clock, and nothing here is tested in paused time"
)]
use std::time::Instant;
use std::{process::ExitCode, time::Duration};

use anyhow::Result;

use crate::tally::Tally;

/// The steps run so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    outcome: Outcome,
    tally: Option<Tally>,
    time: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    NotRun,
}

impl Report {
    /// Runs a step; answers whether it passed.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) -> bool {
        self.push(name, || run().map(|()| (true, None)))
    }

    /// Runs a step that counts tests and says whether all was well, if what it needs is there; answers
    /// whether it passed.
    pub(crate) fn tests(
        &mut self,
        name: &'static str,
        ready: bool,
        run: impl FnOnce() -> Result<(bool, Tally)>,
    ) -> bool {
        if !ready {
            self.steps.push(Step {
                name,
                outcome: Outcome::NotRun,
                tally: None,
                time: Duration::ZERO,
            });
            return false;
        }
        self.push(name, || {
            run().map(|(success, tally)| {
                if success && tally.passed == 0 {
                    eprintln!("error: no test was run");
                }
                let passed = success && tally.failed == 0 && tally.passed > 0;
                (passed, Some(tally))
            })
        })
    }

    #[expect(clippy::disallowed_types, reason = "as above")]
    fn push(
        &mut self,
        name: &'static str,
        run: impl FnOnce() -> Result<(bool, Option<Tally>)>,
    ) -> bool {
        println!("\n==> {name}");
        let start = Instant::now();
        let (passed, tally) = run().unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            (false, None)
        });
        let outcome = if passed {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        self.steps.push(Step {
            name,
            outcome,
            tally,
            time: start.elapsed(),
        });
        passed
    }

    /// Prints the verdict; tests, where steps counted any, on the last line alone.
    pub(crate) fn finish(self) -> ExitCode {
        let width = self.steps.iter().map(|step| step.name.len()).max();
        let width = width.unwrap_or_default();
        println!("\n==> verdict");
        for step in &self.steps {
            let outcome = match step.outcome {
                Outcome::Passed => "ok",
                Outcome::Failed => "FAILED",
                Outcome::NotRun => "not run",
            };
            let tally = step.tally.map(|tally| tally.to_string());
            let line = format!(
                "{:width$}  {outcome:7}  {:>8}  {}",
                step.name,
                time(step.time),
                tally.unwrap_or_default()
            );
            println!("{}", line.trim_end());
        }
        let passed = self
            .steps
            .iter()
            .all(|step| step.outcome == Outcome::Passed);
        let code = if passed { 0 } else { 1 };
        let word = if passed { "passed" } else { "FAILED" };
        println!("{word} in {}, exit code {code}", time(self.total_time()));

        let tallies = self.steps.iter().filter_map(|step| step.tally);
        if let Some(sum) = tallies.reduce(|mut sum, tally| {
            sum += tally;
            sum
        }) {
            println!("{sum}");
        }
        ExitCode::from(code)
    }

    fn total_time(&self) -> Duration {
        self.steps.iter().map(|step| step.time).sum()
    }
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let seconds = time.as_secs();
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole() {
        let mut report = Report::default();
        assert!(report.step("good", || Ok(())));
        assert!(!report.step("bad", || bail!("as planned")));
        assert!(!report.tests("after", false, || bail!("was run")));
        assert_eq!(
            format!("{:?}", report.finish()),
            format!("{:?}", ExitCode::from(1))
        );
    }

    #[test]
    fn running_no_test_is_a_failure() {
        let mut report = Report::default();
        assert!(!report.tests("none", true, || Ok((true, Tally::default()))));
        let one = Tally {
            passed: 1,
            ..Tally::default()
        };
        assert!(report.tests("one", true, || Ok((true, one))));
        assert!(!report.tests("one, then a crash", true, || Ok((false, one))));
    }

    #[test]
    fn times_read_well() {
        assert_eq!(time(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(time(Duration::from_millis(125_900)), "2 min 05 s");
    }
}
