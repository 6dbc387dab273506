//! `cargo xtask experiment NAME`: simulations, which write their pages.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;

use crate::command::{self, cargo};

/// The package knows its experiments and their options.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let mut command = cargo();
    command.args(["run", "--release", "--package=experiments", "--"]);
    command::run(command.args(args))?;
    Ok(ExitCode::SUCCESS)
}
