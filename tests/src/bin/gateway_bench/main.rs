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
    report::Row,
};

const MODEL: &str = "amazon.nova-lite-v1:0";
const CONNECTIONS: [usize; 3] = [1, 8, 64];

/// A way to the simulator. The second is the limit that the others are measured against.
struct Way {
    name: &'static str,
    program: Program,
}

/// Each way is measured this many times for this long. The ways take turns, so that whatever else the
/// machine does hits them all alike.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(1_000);
const WARM_UP: Duration = Duration::from_millis(200);

/// One thread for the load: the other cores are for the programs under test.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = free_address()?;
    // So much faster than the clock that no answer is waited for.
    let args = ["--listen", &address.to_string(), "--time-scale", "1000000"];
    let sim = Program::start("BEDROCK_SIM", address, &args, &[]).await?;
    let upstream = address.to_string();
    let address = free_address()?;
    let args = [&*address.to_string(), &upstream];
    let proxy = Program::start("BARE_PROXY", address, &args, &[]).await?;
    // What the log and signing cost shows where they are left out.
    let gateway = async |settings: &[_]| {
        let address = free_address()?;
        let (listen, upstream) = (address.to_string(), format!("http://{upstream}"));
        let args = ["--listen", &listen, "--upstream", &upstream];
        Program::start("BEDROCK_GATEWAY", address, &args, settings).await
    };
    let silent = ("RUST_LOG", "off");
    let bearer = ("AWS_BEARER_TOKEN_BEDROCK", "any");
    let way = |name, program| Way { name, program };
    let ways = [
        way("direct", sim),
        way("bare proxy", proxy),
        way("gateway", gateway(&[]).await?),
        way("gateway, no log", gateway(&[silent]).await?),
        way(
            "gateway, no log, no signing",
            gateway(&[silent, bearer]).await?,
        ),
    ];
    let [Way { program: sim, .. }, ..] = &ways;
    lift_quotas(sim).await?;

    report::print_heading();
    for operation in [Operation::Converse, Operation::ConverseStream] {
        for connections in CONNECTIONS {
            let load = |address| Load {
                address,
                model: MODEL,
                operation,
                connections,
            };
            let mut samples = ways.each_ref().map(|_| Sample::default());
            for _ in 0..ROUNDS {
                for (way, sample) in ways.iter().zip(&mut samples) {
                    measure(&way.program, load, sample).await?;
                    sim.request("DELETE", "/_sim/ledger", "").await?;
                }
            }
            let rows = ways.iter().zip(samples);
            let rows: Vec<_> = rows
                .map(|(way, sample)| Row::new(way.name, sample))
                .collect();
            report::print(operation, connections, &rows);
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
