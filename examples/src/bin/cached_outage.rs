//! An outage answered from the cache: the gateway has kept what it answered, and gives it again while Bedrock is down,
//! with headers that say so. What nobody has asked before is an error.
//!
//! ```console
//! $ cargo run -p examples --bin cached_outage
//! ```

use anyhow::Result;
use bedrock_gateway::{
    Gateway, Signer,
    config::{Config, Flags},
};
use bedrock_sim::{FaultName, FaultSpec, Simulator};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    net::TcpListener,
    time::{Duration, sleep},
};

const MODEL: &str = "amazon.nova-lite-v1:0";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let simulator = Simulator::new(bedrock_sim::Config::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = listener.local_addr()?;
    let never = std::future::pending::<()>();
    tokio::spawn(bedrock_sim::http::serve(listener, simulator.clone(), never));

    let config = format!(
        r#"
        listen = "127.0.0.1:0"
        [upstream]
        kind = "endpoint"
        endpoint = "http://{upstream}"
        [retry]
        max_attempts = 2
        base_delay = "10ms"
        [breaker]
        open_for = "1s"
        [cache]
        stale_for = "1day"  # when everything else has failed; fresh_for = "0s": only then
        "#
    );
    let config = Config::parse(&config, &Flags::default())?;
    let gateway = Gateway::bind_as(config, Signer::nobody()).await?;
    let url = format!("http://{}/model/{MODEL}/converse", gateway.address());
    tokio::spawn(gateway.run(std::future::pending()));

    let client = Client::builder(TokioExecutor::new()).build_http();
    println!("bedrock  question  status  attempts  degraded  age");
    for question in ["tides", "seasons"] {
        ask(&client, &url, "up", question).await?;
    }
    let outage = simulator.add_fault(FaultSpec::new(FaultName::Unavailable))?;
    sleep(Duration::from_secs(1)).await;
    for question in ["tides", "seasons", "comets"] {
        ask(&client, &url, "down", question).await?;
    }
    simulator.remove_fault(outage);
    // By then the breaker lets a call find out that it is over.
    sleep(Duration::from_secs(2)).await;
    ask(&client, &url, "up", "tides").await
}

/// Asks, and prints what the client is told.
async fn ask(
    client: &Client<HttpConnector, Full<Bytes>>,
    url: &str,
    bedrock: &str,
    question: &str,
) -> Result<()> {
    let body = format!(
        r#"{{"messages": [{{"role": "user", "content": [{{"text": "What causes {question}?"}}]}}]}}"#
    );
    let request = Request::post(url).header("content-type", "application/json");
    let answer = client.request(request.body(body.into())?).await?;
    let told = |name| header(answer.headers(), name);
    println!(
        "{bedrock:7}  {question:8}  {:6}  {:8}  {:8}  {:>3}",
        answer.status().as_u16(),
        told("x-tower-bedrock-attempts"),
        told("x-tower-bedrock-degraded"),
        told("age"),
    );
    Ok(())
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("-")
}
