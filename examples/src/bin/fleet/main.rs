//! Three gateways, as on three machines, under one quota of 300 requests a minute that they share through Redis. One
//! has most of the work; a third of the quota each would not do for it.
//!
//! ```console
//! $ cargo run -p examples --bin fleet
//! ```
//!
//! Starts a `redis-server` of its own, or uses the one at `REDIS_URL`.

mod redis;

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use bedrock_gateway::{
    Gateway, Signer,
    config::{Config, Flags},
};
use bedrock_sim::Simulator;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Duration, Instant, timeout},
};
use tower_bedrock::Target;

use crate::redis::Redis;

const MODEL: &str = "amazon.nova-lite-v1:0";
const REQUESTS_PER_MINUTE: u64 = 300;
/// How many calls each of the three has to answer.
const WORK: [u64; 3] = [200, 60, 25];
const BODY: &str = r#"{
    "messages": [{ "role": "user", "content": [{ "text": "Say hello." }] }],
    "inferenceConfig": { "maxTokens": 10 }
}"#;

type Clients = Client<HttpConnector, Full<Bytes>>;

#[tokio::main]
async fn main() -> Result<()> {
    let redis = Redis::find()?;
    let (simulator, bedrock) = bedrock().await?;
    let clients: Clients = Client::builder(TokioExecutor::new()).build_http();
    let round_trips = redis.calls()?;
    let started = Instant::now();

    let mut gateways = Vec::new();
    for (name, calls) in ["one", "two", "three"].into_iter().zip(WORK) {
        let config = config(bedrock, &redis.url);
        gateways.push(tokio::spawn(gateway(name, config, calls, clients.clone())));
    }
    for gateway in gateways {
        gateway.await??;
    }

    let ledger = simulator.ledger().entries;
    let throttled = ledger.iter().filter(|entry| entry.status == Some(429));
    println!(
        "{} calls of a quota of {REQUESTS_PER_MINUTE} a minute in {:.1} s, {} throttled, {} round trips to the store",
        ledger.len(),
        started.elapsed().as_secs_f64(),
        throttled.count(),
        redis.calls()? - round_trips,
    );
    Ok(())
}

/// What each of them is configured with.
fn config(bedrock: SocketAddr, redis: &str) -> String {
    format!(
        r#"
        listen = "127.0.0.1:0"

        [upstream]
        kind = "endpoint"
        endpoint = "http://{bedrock}"
        regions = ["us-east-1"]

        [[quota]]
        requests_per_minute = {REQUESTS_PER_MINUTE}

        [fleet]
        store = "{redis}"
        members = 3
        # All of it is on one machine, which may have other things to do.
        timeout = "5s"
        "#
    )
}

/// One gateway, and those who call it.
async fn gateway(name: &str, config: String, calls: u64, clients: Clients) -> Result<()> {
    let config = Config::parse(&config, &Flags::default())?;
    let gateway = Gateway::bind_as(config, Signer::nobody()).await?;
    let url = format!("http://{}/model/{MODEL}/converse", gateway.address());
    let handle = gateway.handle();
    // Told to stop, it gives back what it has leased.
    let (shutdown, told) = oneshot::channel::<()>();
    let gateway = tokio::spawn(gateway.run(async { drop(told.await) }));

    let calls = (0..calls).map(|_| call(&clients, &url));
    let answers = timeout(Duration::from_secs(60), try_join_all(calls))
        .await
        .with_context(|| format!("gateway {name} takes longer than a minute"))??;
    let target = Target::parse("us-east-1", MODEL)?;
    let level = handle.limiter().snapshot(&target);
    println!(
        "gateway {name}: {} answers, with a share of {} requests a minute",
        answers.len(),
        level
            .and_then(|level| level.requests_per_minute.effective)
            .unwrap_or_default(),
    );
    drop(shutdown);
    gateway.await??;
    Ok(())
}

async fn call(clients: &Clients, url: &str) -> Result<()> {
    let request = Request::post(url).header(CONTENT_TYPE, "application/json");
    let answer = clients.request(request.body(BODY.into())?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(
        status == StatusCode::OK,
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

/// Amazon Bedrock, simulated, with the quota that all three call under.
async fn bedrock() -> Result<(Simulator, SocketAddr)> {
    let config = format!("[models.{MODEL:?}]\nrequests_per_minute = {REQUESTS_PER_MINUTE}");
    let simulator = Simulator::new(bedrock_sim::Config::from_toml(&config)?)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let forever = std::future::pending::<()>();
    tokio::spawn(bedrock_sim::http::serve(
        listener,
        simulator.clone(),
        forever,
    ));
    Ok((simulator, address))
}
