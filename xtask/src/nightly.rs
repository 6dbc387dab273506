//! What takes too long for every change: ten million steps of the quota against its ledger, the fleet's whole model, and
//! the locks of quota, breaker and retry budget under schedulers that try their interleavings.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    command::{self, cargo},
    paths,
};

/// The package, what its sources ask for with `cfg`, and the tests' name.
const INTERLEAVINGS: [(&str, &str, &str); 3] = [
    ("tower-bedrock-quota", "shuttle", "shuttle_tests"),
    ("tower-bedrock-breaker", "loom", "loom_tests"),
    ("tower-bedrock-retry", "loom", "loom_tests"),
];

pub(crate) fn run() -> Result<ExitCode> {
    for (package, scheduler, tests) in INTERLEAVINGS {
        command::run(
            cargo()
                .args(["test", "--release", "--lib", "--package", package])
                // Of their own, or everything else would be built anew after them.
                .arg("--target-dir")
                .arg(paths::target()?.join(scheduler))
                .arg(tests)
                .env("RUSTFLAGS", format!("--cfg {scheduler}")),
        )?;
    }
    for tests in ["--lib", "--test=ledger"] {
        command::run(
            cargo()
                .args(["test", "--release", "--package=tower-bedrock-quota"])
                .args(["--features=redis", tests])
                .env("TOWER_BEDROCK_NIGHTLY", "1"),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
