//! `cargo xtask bench [NAME]`: measurements, as Markdown in `docs/benchmarks`.

mod instructions;
mod layers;
pub(crate) mod machine;

use std::{
    fs,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Result, bail, ensure};

use crate::{
    command::{self, cargo},
    paths,
};

/// Runs one of them, or both.
pub(crate) fn run(name: Option<&str>) -> Result<ExitCode> {
    match name {
        Some("gateway") => gateway()?,
        Some("layers") => layers::run()?,
        Some(other) => {
            bail!("no benchmark {other:?}: expected gateway, layers, or no name for both")
        }
        None => {
            gateway()?;
            layers::run()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

const GOAL: &str = "\
Aimed at: 0.8 of the requests a second of a bare hyper reverse proxy, which reads, signs, counts and logs nothing. Where the column
says less, it is missed.

Where the rest goes, by what valgrind's callgrind counts: a unary call takes three times the instructions of the bare proxy's. Of what is
more, a fifth each is for the log event and its span, for signing, and for the policies; an eighth for reading what a request may
cost and what its answer has cost; and the rest for limits, deadlines, routes and headers. Of a stream's events those that come
together go on in one write, where the bare proxy makes one of each.
";

/// The gateway beside a bare hyper reverse proxy, both in front of one simulator.
fn gateway() -> Result<()> {
    command::run(cargo().args(["build", "--release", "--bins"]).args([
        "--package=bedrock-sim",
        "--package=bedrock-gateway",
        "--package=integration-tests",
    ]))?;
    let output = Command::new(paths::program("release", "gateway_bench")?)
        .env("BEDROCK_SIM", paths::program("release", "bedrock-sim")?)
        .env(
            "BEDROCK_GATEWAY",
            paths::program("release", "bedrock-gateway")?,
        )
        .env("BARE_PROXY", paths::program("release", "bare_proxy")?)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the benchmark failed");
    let tables = String::from_utf8(output.stdout)?;
    println!("{tables}");
    let machine = machine::described("cargo xtask bench gateway")?;
    publish(
        "gateway",
        &format!("# The gateway beside a bare proxy\n\n{GOAL}\n{tables}\n{machine}\n"),
    )
}

/// Writes a page of `docs/benchmarks`.
fn publish(name: &str, page: &str) -> Result<()> {
    let folder = paths::root().join("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name).with_extension("md"), page)?)
}
