//! On what a benchmark was run.

use std::{fs, process::Command, thread};

use anyhow::{Context, Result};

use crate::command::cargo;

/// The versions of packages that the workspace depends on, as `name version`.
pub(super) fn versions(packages: &[&str]) -> Result<String> {
    let version = |package: &&str| {
        let output = cargo().args(["pkgid", "--package", package]).output()?;
        let id = String::from_utf8(output.stdout)?;
        let (_, version) = id
            .trim()
            .rsplit_once(['@', '#'])
            .with_context(|| format!("no version of {package}"))?;
        Ok(format!("{package} {version}"))
    };
    let versions = packages.iter().map(version);
    Ok(versions.collect::<Result<Vec<_>>>()?.join(", "))
}

/// A sentence for below a table: the command, processor, cores, compiler.
pub(crate) fn described(command: &str) -> Result<String> {
    let rustc = Command::new("rustc").arg("--version").output()?;
    let rustc = String::from_utf8(rustc.stdout).context("rustc's version")?;
    // Elsewhere than on Linux the processor goes unnamed.
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unnamed processor", |(_, name)| name);
    let cores = thread::available_parallelism()?;
    let rustc = rustc.trim();
    Ok(format!(
        "Measured by `{command}` on {processor}, {cores} cores, {rustc}."
    ))
}
