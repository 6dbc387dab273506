//! Whether the crates build with every feature by itself, with none and with all.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{command, paths, tools};

/// The cargo-hack that is installed where there is none.
const CARGO_HACK: &str = "0.6.46";

pub(crate) fn run() -> Result<ExitCode> {
    command::run(
        Command::new(tools::program("cargo-hack", CARGO_HACK)?)
            .current_dir(paths::root())
            // Only what is published: the other packages build with what they ask for or not at all.
            .args(["hack", "clippy", "--each-feature", "--workspace"])
            .args(["--ignore-private", "--quiet"])
            // Unlike flags in the environment, these leave what is built of other people's crates as it is.
            .args(["--", "--deny=warnings"]),
    )?;
    Ok(ExitCode::SUCCESS)
}
