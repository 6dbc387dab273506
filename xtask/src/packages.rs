//! What the tests need of the system, installed where it is missing and may be: Debian's packages, by `apt-get`.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::command;

const NO_REDIS: &str = "\
`redis-server` is needed, of Redis 7 or later or Valkey's (Debian and Ubuntu: `apt-get install redis-server`). Set \
TOWER_BEDROCK_REDIS_SERVER where it is not on the `PATH`";

/// The quota's tests start servers of their own.
pub(crate) fn redis_server() -> Result<()> {
    let program = env::var_os("TOWER_BEDROCK_REDIS_SERVER");
    let program = program.unwrap_or_else(|| "redis-server".into());
    let is_there = || {
        let mut version = Command::new(&program);
        version.arg("--version").stdout(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    if !is_there() {
        install(&["redis-server"]).context(NO_REDIS)?;
        ensure!(is_there(), NO_REDIS);
    }
    Ok(())
}

/// Installs packages, as root on a system that has them; elsewhere it is for the user to do.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "Acquire::Retries=3"])
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    command::run(apt_get().arg("update"))?;
    command::run(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}
