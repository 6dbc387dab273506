//! Structured logs, on standard error.

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::Traces;

/// How log events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line a person can read.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Starts writing log events of this process to standard error. `RUST_LOG` says which; without it, those of
/// level `info` and above. With `traces`, hands spans to them as well, whatever `RUST_LOG` says.
///
/// # Errors
///
/// Logs are set up already.
pub fn init(
    format: LogFormat,
    traces: Option<&Traces>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    // Events have a field of this name: where a call goes.
    let logs = fmt::layer().with_target(false).with_writer(stderr);
    let logs = match format {
        LogFormat::Text => logs.with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => {
            let logs = logs.json().flatten_event(true);
            logs.with_span_list(false).boxed()
        }
    };
    let traces = traces.map(|traces| traces.layer().boxed());
    let layers = [Some(logs.with_filter(filter).boxed()), traces];
    let layers: Vec<_> = layers.into_iter().flatten().collect();
    Ok(tracing_subscriber::registry().with(layers).try_init()?)
}
