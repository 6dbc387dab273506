//! Runs other programs, saying which.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::paths;

/// Cargo, in the workspace's folder, without what the Cargo that started us has set for us alone: build
/// scripts that watch those variables would run again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    for (name, _) in env::vars_os() {
        let own = |prefix| name.to_string_lossy().starts_with(prefix);
        if own("CARGO_PKG_") || own("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
///
/// # Errors
///
/// Where it cannot be started, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| cannot_start(command))?;
    ensure!(status.success(), "{} ended with {status}", name(command));
    Ok(())
}

/// Runs a command to its end and answers whether it succeeded, passing on each line it prints once `watch`
/// has seen it.
///
/// # Errors
///
/// Where it cannot be started, or its output cannot be read.
pub(crate) fn run_watched(command: &mut Command, mut watch: impl FnMut(&str)) -> Result<bool> {
    announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    let output = child.stdout.take().context("the output was not piped")?;
    let mut stdout = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        watch(&String::from_utf8_lossy(&line));
        stdout.write_all(&line)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
    }
    Ok(child.wait()?.success())
}

fn announce(command: &Command) {
    let args: Vec<_> = command
        .get_args()
        .map(|arg| arg.to_string_lossy())
        .collect();
    println!("$ {} {}", name(command), args.join(" "));
}

fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.to_string_lossy().into_owned()
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().to_string_lossy())
}
