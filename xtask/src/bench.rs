//! `cargo xtask bench NAME`: measurements, printed as Markdown.

mod layers;
mod machine;

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::{
    command::{self, cargo},
    paths,
};

pub(crate) fn run(name: &str) -> Result<ExitCode> {
    match name {
        "gateway" => gateway()?,
        "layers" => layers::run()?,
        other => bail!("no benchmark {other:?}: expected gateway or layers"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The gateway beside a bare hyper reverse proxy, both in front of one simulator.
fn gateway() -> Result<()> {
    command::run(cargo().args(["build", "--release", "--bins"]).args([
        "--package=bedrock-sim",
        "--package=bedrock-gateway",
        "--package=integration-tests",
    ]))?;
    command::run(
        Command::new(paths::program("release", "gateway_bench")?)
            .env("BEDROCK_SIM", paths::program("release", "bedrock-sim")?)
            .env(
                "BEDROCK_GATEWAY",
                paths::program("release", "bedrock-gateway")?,
            )
            .env("BARE_PROXY", paths::program("release", "bare_proxy")?),
    )
}
