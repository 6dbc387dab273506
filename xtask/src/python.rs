//! The Python that the real-client tests run in: a virtual environment under the target folder.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{command, packages, paths};

const NO_VENV: &str = "\
Python 3 with its `venv` and `ensurepip` modules is needed (Debian and Ubuntu: `apt-get install python3 \
python3-venv`). Set PYTHON to use another interpreter than `python3`";

/// Makes the environment, or keeps the one there is if it was made of the same interpreter and the same
/// requirements.
pub(crate) fn set_up() -> Result<()> {
    let folder = folder()?;
    let stamp = folder.join("made-of.txt");
    let requirements = tests().join("requirements.txt");
    let made_of = format!(
        "{}\n{}",
        version().or_else(|_| installed())?,
        fs::read_to_string(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?
    );
    if fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == made_of) {
        println!("{} is up to date", folder.display());
        return Ok(());
    }

    // `--clear` would do, but for what an interrupted run may have left there.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    command::run(Command::new(system()).args(["-m", "venv"]).arg(&folder)).context(NO_VENV)?;
    command::run(
        Command::new(interpreter(&folder))
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(&requirements),
    )?;
    fs::write(stamp, made_of)?;
    Ok(())
}

/// Pytest over the real-client tests, told where the programs under test are.
pub(crate) fn pytest() -> Result<Command> {
    let mut command = Command::new(interpreter(&folder()?));
    command
        .args(["-m", "pytest"])
        .current_dir(tests())
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("BEDROCK_SIM", paths::program("debug", "bedrock-sim")?)
        .env(
            "BEDROCK_GATEWAY",
            paths::program("debug", "bedrock-gateway")?,
        )
        .env(
            "CLOUDWATCH_CLIENT",
            paths::program("debug", "cloudwatch_client")?,
        )
        .env("QUEUE_CLIENT", paths::program("debug", "queue_client")?);
    Ok(command)
}

fn tests() -> PathBuf {
    paths::root().join("tests/python")
}

fn folder() -> Result<PathBuf> {
    Ok(paths::target()?.join("python"))
}

fn system() -> OsString {
    env::var_os("PYTHON").unwrap_or_else(|| "python3".into())
}

fn version() -> Result<String> {
    let output = Command::new(system())
        .args(["-c", "import sys, venv, ensurepip; print(sys.version)"])
        .output()
        .context(NO_VENV)?;
    if !output.status.success() {
        bail!(NO_VENV);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Debian and Ubuntu have Python's `venv` in a package of its own.
fn installed() -> Result<String> {
    packages::install(&["python3", "python3-venv"]).context(NO_VENV)?;
    version()
}

fn interpreter(environment: &Path) -> PathBuf {
    if cfg!(windows) {
        environment.join("Scripts/python.exe")
    } else {
        environment.join("bin/python")
    }
}
