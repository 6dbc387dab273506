//! What the examples share: a simulated Bedrock of their own, and the AWS SDK pointed at it.

use std::{future::pending, net::Ipv4Addr};

use anyhow::Result;
use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use bedrock_sim::{Simulator, http};
use tokio::net::TcpListener;
use tower_bedrock::{BedrockService, service::Builder};

/// The leaf, calling a simulator that is served on a free port for as long as the program runs.
///
/// # Errors
///
/// Where no port can be had.
pub async fn simulated_bedrock(simulator: &Simulator) -> Result<BedrockService> {
    simulated_bedrock_as(simulator, BedrockService::builder()).await
}

/// The same, with settings of its own.
///
/// # Errors
///
/// Where no port can be had, or a setting cannot be.
pub async fn simulated_bedrock_as(
    simulator: &Simulator,
    settings: Builder,
) -> Result<BedrockService> {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(serve(simulator).await?)
        // The SDK insists on credentials; the simulator takes any.
        .credentials_provider(Credentials::new("any", "any", None, None, "example"))
        .build();
    Ok(settings.build_from_client(&Client::from_conf(config))?)
}

/// The URL of a simulator, which is served on a free port for as long as the program runs.
///
/// # Errors
///
/// Where no port can be had.
pub async fn serve(simulator: &Simulator) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(http::serve(listener, simulator.clone(), pending::<()>()));
    Ok(url)
}

/// Where an example that serves is to listen: the first argument, or port 3000.
///
/// # Errors
///
/// Where the address cannot be had.
pub async fn listener() -> Result<TcpListener> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}
