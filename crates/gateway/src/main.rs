//! The `bedrock-gateway` program.

use std::{
    convert::Infallible,
    io::{Write, stdout},
    process::ExitCode,
};

use bedrock_gateway::{
    Gateway, Handle, Traces,
    batch::{self, BatchArgs},
    cli::{Cli, Command, ready_message},
    config::Config,
    logging,
    signals::{ReloadSignals, StopSignals},
};
use clap::Parser;
use mimalloc::MiMalloc;
use tokio::task::spawn_blocking;

/// What a call allocates on one thread is often freed on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match start(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bedrock-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start(cli: Cli) -> Result<ExitCode, BoxError> {
    let config = cli.load()?;
    if cli.command == Some(Command::Check) {
        writeln!(stdout(), "The configuration is valid.")?;
        return Ok(ExitCode::SUCCESS);
    }
    let traces = config.otlp.as_ref().map(Traces::new).transpose()?;
    logging::init(cli.log_format, traces.as_ref())?;
    let ended = match &cli.command {
        Some(Command::Batch(args)) => run_batch(args, &config).await,
        _ => serve(cli, config).await,
    };
    if let Some(traces) = traces {
        traces.shut_down().await;
    }
    ended
}

/// Serves until a signal says otherwise.
async fn serve(cli: Cli, config: Config) -> Result<ExitCode, BoxError> {
    let mut signals = StopSignals::listen()?;
    let mut signals_again = StopSignals::listen()?;
    let reload_signals = ReloadSignals::listen()?;

    let gateway = tokio::select! {
        gateway = Gateway::bind(config.clone()) => gateway?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let message = ready_message(&config, gateway.address(), gateway.sim_address());
    // Nobody may be reading.
    if let Some(metrics) = gateway.metrics_address() {
        let _ = writeln!(stdout(), "Metrics are read at http://{metrics}/metrics");
    }
    let _ = writeln!(stdout(), "{message}");
    let shutdown = async {
        signals.next().await;
        tracing::info!("stopping once calls under way have finished; a second signal ends them");
    };
    // Heard by both, so the first one is not the second.
    let second_signal = async {
        signals_again.next().await;
        signals_again.next().await;
    };
    let reload = reload_on(reload_signals, cli, gateway.handle());
    tokio::select! {
        result = gateway.run(shutdown) => result?,
        () = second_signal => {}
        never = reload => match never {},
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails where records are left: the run was stopped.
async fn run_batch(args: &BatchArgs, config: &Config) -> Result<ExitCode, BoxError> {
    let mut signals = StopSignals::listen()?;
    let mut signals_again = StopSignals::listen()?;
    let stop = async {
        signals.next().await;
        tracing::info!(
            "stopping once calls under way have finished, or after server.drain_timeout; a second signal ends them"
        );
    };
    let second_signal = async {
        signals_again.next().await;
        signals_again.next().await;
    };
    let summary = tokio::select! {
        summary = batch::run(args, config, stop) => summary?,
        () = second_signal => return Ok(ExitCode::FAILURE),
    };
    // Nobody may be reading.
    let _ = writeln!(stdout(), "{summary}");
    if summary.is_finished() {
        return Ok(ExitCode::SUCCESS);
    }
    let _ = writeln!(stdout(), "Run it again to go on.");
    Ok(ExitCode::FAILURE)
}

/// Reads the configuration anew whenever asked to. One that cannot be is refused, and what is in force stays.
async fn reload_on(mut signals: ReloadSignals, cli: Cli, gateway: Handle) -> Infallible {
    loop {
        signals.next().await;
        let (cli, gateway) = (cli.clone(), gateway.clone());
        // Files may be on a mount that hangs, and connections are accepted meanwhile.
        let reload = spawn_blocking(move || Ok(gateway.reload(cli.load()?)?));
        let result: Result<_, BoxError> = reload.await.unwrap_or_else(|error| Err(error.into()));
        match result {
            Ok(sections) if sections.is_empty() => tracing::info!("configuration reloaded"),
            Ok(sections) => tracing::warn!(
                takes_a_restart = sections.join(", "),
                "configuration reloaded, but for what cannot change while the gateway runs"
            ),
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded: what was in force stays so");
            }
        }
    }
}
