//! `cargo xtask soak`: the gateway under overload for a long time.

use std::process::{Command, ExitCode};

use anyhow::Result;
use lexopt::Parser;

use crate::{
    command::{self, cargo},
    paths,
};

/// Builds the program and has it read the rest of the command line.
pub(crate) fn run(mut args: Parser) -> Result<ExitCode> {
    let arguments: Vec<_> = args.raw_args()?.collect();
    command::run(cargo().args([
        "build",
        "--release",
        "--package=integration-tests",
        "--bin=soak",
    ]))?;
    command::run(Command::new(paths::program("release", "soak")?).args(arguments))?;
    Ok(ExitCode::SUCCESS)
}
