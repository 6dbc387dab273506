//! Three stacks, as three gateways on three machines would have them, under one quota of 300 requests a minute that
//! they share through Redis. One has most of the work; a third of the quota each would not do for it.
//!
//! ```console
//! $ cargo run -p examples --bin fleet
//! ```
//!
//! Starts a `redis-server` of its own, or uses the one at `REDIS_URL`.

use std::{
    env,
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow};
use bedrock_sim::{Config, Input, Prompt, Simulator};
use futures_util::future::try_join_all;
use tokio::{sync::oneshot, time::Instant};
use tower::{ServiceBuilder, ServiceExt};
use tower_bedrock::{
    Target,
    quota::{
        LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern,
        fleet::{Fleet, RedisStore},
    },
};

const MODEL: &str = "amazon.nova-lite-v1:0";
const REQUESTS_PER_MINUTE: u64 = 300;
/// How many calls each of the three has to make.
const WORK: [u64; 3] = [200, 70, 30];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let config = format!("[models.{MODEL:?}]\nrequests_per_minute = {REQUESTS_PER_MINUTE}");
    let simulator = Simulator::new(Config::from_toml(&config)?)?;
    let redis = Redis::find()?;
    let started = Instant::now();

    let mut gateways = Vec::new();
    for (name, calls) in ["one", "two", "three"].into_iter().zip(WORK) {
        gateways.push(tokio::spawn(gateway(
            name,
            calls,
            redis.url.clone(),
            simulator.clone(),
        )));
    }
    for gateway in gateways {
        gateway.await??;
    }

    let ledger = simulator.ledger().entries;
    let throttled = ledger.iter().filter(|entry| entry.status == Some(429));
    println!(
        "{} calls of a quota of {REQUESTS_PER_MINUTE} a minute in {:.1} s, {} throttled",
        ledger.len(),
        started.elapsed().as_secs_f64(),
        throttled.count(),
    );
    Ok(())
}

/// One process of the fleet.
async fn gateway(name: &str, calls: u64, redis: String, simulator: Simulator) -> Result<()> {
    let limits = Limits::new().with_requests_per_minute(REQUESTS_PER_MINUTE);
    let table = LimitTable::new().with(QuotaPattern::any(), limits);
    let (fleet, worker) = Fleet::builder(RedisStore::new(&redis)?)
        .members(3)
        .build()?;
    let limiter = Limiter::builder().limits(table).fleet(fleet).build()?;
    let bedrock = ServiceBuilder::new()
        .layer(QuotaLayer::new(limiter.clone()))
        .service(simulator.service());

    // The worker renews what this process has leased, and gives it back when it is told to end.
    let (shutdown, told) = oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run_until(async { drop(told.await) }));

    let target = Target::parse("us-east-1", MODEL)?;
    let calls = (0..calls).map(|_| {
        let mut input = Input::default();
        input.add_text("Say hello.");
        let call = Prompt::new(input)
            .with_max_output_tokens(10)
            .to(target.clone());
        bedrock.clone().oneshot(call)
    });
    let answers = try_join_all(calls)
        .await
        .map_err(|error| anyhow!("{error}"))?;

    let level = limiter.snapshot(&target).context("it was called")?;
    println!(
        "gateway {name}: {} answers, with a share of {} requests a minute",
        answers.len(),
        level.requests_per_minute.effective.unwrap_or_default(),
    );
    drop(shutdown);
    worker.await?;
    Ok(())
}

/// The server that is there, or one that is started and stopped.
struct Redis {
    url: String,
    server: Option<Child>,
}

impl Redis {
    fn find() -> Result<Self> {
        if let Ok(url) = env::var("REDIS_URL") {
            return Ok(Self { url, server: None });
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .context("no redis-server: install it, or name one in REDIS_URL")?;
        Ok(Self {
            url: format!("redis://127.0.0.1:{port}"),
            server: Some(server),
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
