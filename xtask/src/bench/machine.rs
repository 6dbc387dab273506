//! On what a benchmark was run.

use std::{fs, process::Command, thread};

use anyhow::{Context, Result};

/// A sentence for below a table: the command, processor, cores, compiler.
pub(super) fn described(command: &str) -> Result<String> {
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
