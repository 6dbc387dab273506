//! Structured logs, on standard error.

mod plain;

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::plain::PlainFields;
use crate::Traces;

/// The spans of calls and attempts begin so in their `tracing` targets. They are for collectors: what logs have to say
/// of a call is in its events.
const FOR_COLLECTORS: &str = "tower_bedrock_cloudwatch";

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
        LogFormat::Text if stderr().is_terminal() => logs.boxed(),
        LogFormat::Text => logs.with_ansi(false).fmt_fields(PlainFields).boxed(),
        LogFormat::Json => {
            let logs = logs.json().flatten_event(true);
            logs.with_span_list(false).boxed()
        }
    };
    let traces = traces.map(|traces| traces.layer().boxed());
    let filter = filter.and(filter_fn(is_for_logs));
    let layers = [Some(logs.with_filter(filter).boxed()), traces];
    let layers: Vec<_> = layers.into_iter().flatten().collect();
    Ok(tracing_subscriber::registry().with(layers).try_init()?)
}

fn is_for_logs(metadata: &Metadata<'_>) -> bool {
    !(metadata.is_span() && metadata.target().starts_with(FOR_COLLECTORS))
}
