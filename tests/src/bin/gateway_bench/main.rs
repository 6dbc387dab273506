//! Measures the gateway beside a bare reverse proxy, both in front of one simulator, in one run.
//!
//! Started by `cargo xtask bench gateway`, which says in the environment where the programs are:
//! `BEDROCK_SIM`, `BEDROCK_GATEWAY` and `BARE_PROXY`.

mod load;
mod program;
mod report;

use std::net::SocketAddr;

use anyhow::Result;
use tokio::time::Duration;

use crate::{
    load::{Load, Operation, Sample},
    program::{Program, free_address},
    report::Group,
};

const MODEL: &str = "amazon.nova-lite-v1:0";
const CONNECTIONS: [usize; 3] = [1, 8, 64];

/// Each way is measured this many times for this long. The ways take turns, so that whatever else the
/// machine does hits them all alike.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(1_000);
const WARM_UP: Duration = Duration::from_millis(200);

/// One thread for the load: the other cores are for the programs under test.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (sim, proxy, gateway) = (free_address()?, free_address()?, free_address()?);
    // So much faster than the clock that no answer is waited for.
    let sim = Program::start(
        "BEDROCK_SIM",
        sim,
        &["--listen", &sim.to_string(), "--time-scale", "1000000"],
    )
    .await?;
    let upstream = sim.address().to_string();
    let proxy = Program::start("BARE_PROXY", proxy, &[&proxy.to_string(), &upstream]).await?;
    let gateway = Program::start(
        "BEDROCK_GATEWAY",
        gateway,
        &[
            "--listen",
            &gateway.to_string(),
            "--upstream",
            &format!("http://{upstream}"),
        ],
    )
    .await?;
    lift_quotas(&sim).await?;

    report::print_heading();
    for operation in [Operation::Converse, Operation::ConverseStream] {
        for connections in CONNECTIONS {
            let load = |address| Load {
                address,
                model: MODEL,
                operation,
                connections,
            };
            let mut group = Group::new(operation, connections);
            for _ in 0..ROUNDS {
                measure(&sim, load, &mut group.direct).await?;
                measure(&proxy, load, &mut group.bare).await?;
                measure(&gateway, load, &mut group.gateway).await?;
                sim.request("DELETE", "/_sim/ledger", "").await?;
            }
            report::print(group);
        }
    }
    Ok(())
}

async fn measure(
    program: &Program,
    load: impl Fn(SocketAddr) -> Load,
    sample: &mut Sample,
) -> Result<()> {
    let load = load(program.address());
    load.run(WARM_UP).await?;
    let before = program.cpu_time();
    let mut round = load.run(ROUND).await?;
    round.cpu = program.cpu_time().zip(before).map(|(now, then)| now - then);
    sample.add(round);
    Ok(())
}

/// What is left is the cost of the way there and back.
async fn lift_quotas(sim: &Program) -> Result<()> {
    let settings = r#"{"requests_per_minute": null, "tokens_per_minute": null, "tokens_per_day": null,
        "output_tokens": 32, "tokens_per_delta": 1}"#;
    sim.request("PUT", &format!("/_sim/models/{MODEL}"), settings)
        .await
}
