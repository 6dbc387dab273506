//! `bedrock-sim`: a local Amazon Bedrock.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use bedrock_sim::{Config, Simulator, http};
use clap::Parser;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// A local Amazon Bedrock: the real wire protocol, real quotas, scripted faults.
///
/// Its answers are simulated and say so. Point any AWS SDK's endpoint URL at it.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Models, quotas, credentials and faults, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How much faster than the clock simulated time runs: 60 makes the quota minute a second [default: 1]
    #[arg(long, value_name = "N")]
    time_scale: Option<f64>,
    /// The seed of all randomness [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bedrock-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), BoxError> {
    let config = configure(arguments)?;
    let listen = config.listen;
    let simulator = Simulator::new(config)?;
    let shutdown = shutdown_signal()?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    println!("bedrock-sim is ready on http://{}", listener.local_addr()?);
    http::serve(listener, simulator, shutdown).await?;
    Ok(())
}

/// The file's settings, with the command line's on top.
fn configure(arguments: Arguments) -> Result<Config, BoxError> {
    let mut config = match &arguments.config {
        None => Config::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Config::from_toml(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    if let Some(listen) = arguments.listen {
        config.listen = listen;
    }
    if let Some(time_scale) = arguments.time_scale {
        config.time_scale = time_scale;
    }
    if let Some(seed) = arguments.seed {
        config.seed = seed;
    }
    Ok(config)
}

/// Resolves at SIGINT or SIGTERM; where there are no such, at Ctrl-C.
///
/// It listens from now on, not from its first poll: who reads that the simulator is ready may end it at once.
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(windows)]
    {
        let mut interrupt = tokio::signal::windows::ctrl_c()?;
        Ok(async move {
            interrupt.recv().await;
        })
    }
}
