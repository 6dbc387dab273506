//! `cargo xtask lint`: what can be said of the code without running it.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    command::{self, cargo},
    paths,
    report::Report,
    tools,
};

/// The cargo-deny that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

/// Runs every check, whatever the ones before it said.
pub(crate) fn run() -> Result<ExitCode> {
    let mut report = Report::default();
    report.step("format", || {
        command::run(cargo().args(["fmt", "--all", "--check"]))
    });
    report.step("clippy", || {
        command::run(
            cargo()
                .args(["clippy", "--workspace", "--all-targets", "--all-features"])
                .args(["--", "--deny=warnings"]),
        )
    });
    report.step("rustdoc", || {
        command::run(
            cargo()
                .args(["doc", "--workspace", "--all-features", "--no-deps"])
                .env("RUSTDOCFLAGS", "--deny=warnings"),
        )
    });
    report.step("licences, bans and sources", || {
        // Not `advisories`: their database is fetched, and a lint must work offline and say the same
        // today and tomorrow.
        command::run(
            Command::new(tools::program("cargo-deny", CARGO_DENY)?)
                .current_dir(paths::root())
                .args(["--workspace", "check", "licenses", "bans", "sources"]),
        )
    });
    Ok(report.finish())
}
