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
says less, it is missed. On a machine with other work the ratios of two runs differ by a tenth and more.

Streams do best: events that come together go on in one write, where the bare proxy makes one of each. Unary calls stay below it. A
third of a call's processor time is for its signature, as the last rows of each group show; the rest of what is more goes, in many
small parts, for request and answer read whole and their JSON looked at once, limits on time and memory, spans, headers, the log and
the policies, which cost next to nothing (see [the layers](layers.md)).

On one connection a call's time is that of threads that wake one another. hyper 1.12 wakes a connection's task whenever a part of a
request's body is taken, also where that task itself takes it, and tokio has another thread look after a task that wakes itself:
three switches between threads a call and more, where the bare proxy has two.

Requests are signed by `aws-sigv4` and events read by `aws-smithy-eventstream`. Own code for both took a fifth less of the gateway's
time for a call, and was several hundred lines about formats that are AWS's. Link-time optimization with one codegen unit saved one
instruction in 25 and no time that could be measured.

Instructions as valgrind counts them mislead here: it knows no SHA instructions, so that 98,000 of the 264,000 it counts for a unary
call are of SHA-256, which most processors have done in a fraction of these.
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
        &format!(
            "# The gateway beside a bare proxy\n\n{GOAL}\n{}\n{machine}\n",
            tables.trim_start()
        ),
    )
}

/// Writes a page of `docs/benchmarks`.
fn publish(name: &str, page: &str) -> Result<()> {
    let folder = paths::root().join("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name).with_extension("md"), page)?)
}
