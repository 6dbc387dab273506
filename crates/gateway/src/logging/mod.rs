//! Structured logs, on standard error.

mod plain;

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
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
    let logs = logs(format, stderr().is_terminal(), filter, stderr);
    let traces = traces.map(|traces| traces.layer().boxed());
    let layers: Vec<_> = [Some(logs), traces].into_iter().flatten().collect();
    Ok(tracing_subscriber::registry().with(layers).try_init()?)
}

fn logs<S, W>(
    format: LogFormat,
    is_terminal: bool,
    filter: EnvFilter,
    writer: W,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Events have a field of this name: where a call goes.
    let logs = fmt::layer().with_target(false).with_writer(writer);
    let logs = match format {
        LogFormat::Text if is_terminal => logs.boxed(),
        LogFormat::Text => logs.with_ansi(false).fmt_fields(PlainFields).boxed(),
        LogFormat::Json => {
            let logs = logs.json().flatten_event(true);
            logs.with_span_list(false).boxed()
        }
    };
    // Without the hint everything would be taken to be wanted, whatever `filter` says.
    let for_logs = filter_fn(is_for_logs).with_max_level_hint(LevelFilter::TRACE);
    logs.with_filter(filter.and(for_logs)).boxed()
}

fn is_for_logs(metadata: &Metadata<'_>) -> bool {
    !(metadata.is_span() && metadata.target().starts_with(FOR_COLLECTORS))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let filter = EnvFilter::new(filter);
        let logs = logs(format, false, filter, move || writer.clone());
        // Somebody else wants all spans, as a collector of traces does.
        let all = fmt::layer().with_writer(io::sink);
        let subscriber = tracing_subscriber::registry().with(vec![logs, all.boxed()]);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn call() {
        let request = tracing::info_span!("request", id = "id-of-the-call");
        let _request = request.enter();
        let attempt =
            tracing::info_span!(target: FOR_COLLECTORS, "attempt", secret = "of collectors");
        let _attempt = attempt.enter();
        tracing::warn!("attempt failed");
    }

    #[test]
    fn an_event_has_its_requests_id_and_nothing_of_the_spans_for_collectors() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let logs = written(format, "info", call);
            assert!(logs.contains("attempt failed"), "{logs}");
            assert!(logs.contains("id-of-the-call"), "{logs}");
            assert!(!logs.contains("of collectors"), "{logs}");
        }
    }

    #[test]
    fn what_nobody_wants_is_known_beforehand() {
        let registry = || tracing_subscriber::registry();
        for (filter, level) in [("off", LevelFilter::OFF), ("warn", LevelFilter::WARN)] {
            let logs = logs(LogFormat::Text, false, EnvFilter::new(filter), io::sink);
            let hint = registry().with(logs).max_level_hint();
            assert_eq!(hint, Some(level));
        }
    }
}
