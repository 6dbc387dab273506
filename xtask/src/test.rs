//! `cargo xtask test`: every test there is, with what they need.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::{
    command::{self, cargo},
    packages, python,
    report::Report,
    tally::Tally,
};

/// One sort of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Rust,
    Doc,
    Python,
}

/// Runs the tests, or one sort of them. A step that failed stops only those that need it.
pub(crate) fn run(only: Option<Sort>) -> Result<ExitCode> {
    const UNIT: &str = "unit, property and integration tests";
    const DOC: &str = "doc tests";
    const CLIENTS: &str = "real clients (boto3)";

    let wanted = |sort| only.is_none_or(|only| only == sort);
    let mut report = Report::default();
    let python = wanted(Sort::Python) && report.step("Python environment", python::set_up);
    if wanted(Sort::Rust) {
        // Without it most tests still run.
        report.step("redis-server", packages::redis_server);
    }
    let built = report.step("build", || command::run(cargo().args(build(only))));

    if wanted(Sort::Rust) {
        let tests = [
            "test",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--no-fail-fast",
        ];
        report.tests(UNIT, built, || {
            count(cargo().args(tests), Tally::from_libtest)
        });
    }
    if wanted(Sort::Doc) {
        let tests = [
            "test",
            "--workspace",
            "--doc",
            "--all-features",
            "--no-fail-fast",
        ];
        report.tests(DOC, built, || {
            count(cargo().args(tests), Tally::from_libtest)
        });
    }
    if wanted(Sort::Python) {
        report.tests(CLIENTS, built && python, || {
            count(&mut python::pytest()?, Tally::from_pytest)
        });
    }
    Ok(report.finish())
}

/// Real clients need three programs and nothing else. All other tests are built at once, so that the steps
/// after the build only run.
fn build(only: Option<Sort>) -> &'static [&'static str] {
    match only {
        Some(Sort::Python) => &[
            "build",
            "--package=bedrock-sim",
            "--package=bedrock-gateway",
            "--package=integration-tests",
        ],
        Some(Sort::Doc) => &["build", "--workspace", "--all-features"],
        Some(Sort::Rust) | None => &["build", "--workspace", "--all-targets", "--all-features"],
    }
}

fn count(command: &mut Command, read: impl Fn(&str) -> Option<Tally>) -> Result<(bool, Tally)> {
    let mut sum = Tally::default();
    let success = command::run_watched(command, |line| {
        if let Some(tally) = read(line) {
            sum += tally;
        }
    })?;
    Ok((success, sum))
}

impl Sort {
    /// By its name on the command line.
    pub(crate) fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "rust" => Self::Rust,
            "doc" => Self::Doc,
            "python" => Self::Python,
            other => bail!("--only is {other:?}: expected rust, doc or python"),
        })
    }
}
