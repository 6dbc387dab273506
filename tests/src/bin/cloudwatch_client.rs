//! What the real-client tests have the CloudWatch crate do.
//!
//! `record` and `emf` read what to record from the standard input: `{"counters": [{"name", "labels", "value"}],
//! "histograms": [{"name", "labels", "values"}]}`. `apply`, `cloudformation`, `deploy`, `prometheus` and `grafana` take
//! one configuration, and `deploy` one model more if it is told one; `metrics` is the table of all there are.

use std::{collections::BTreeMap, io::stdin, time::Duration};

use anyhow::{Result, bail};
use aws_config::BehaviorVersion;
use aws_sdk_cloudwatch::Client;
use metrics::{Key, Label, Level, Metadata, Recorder, Unit};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_bedrock_cloudwatch::{
    METRICS,
    operations::{Operations, Severity},
    recorder::{CloudWatchRecorder, CloudWatchSink, EmfSink},
};
use tower_bedrock_core::Target;

#[derive(Deserialize)]
struct Recording {
    counters: Vec<Counter>,
    histograms: Vec<Histogram>,
}

#[derive(Deserialize)]
struct Counter {
    name: String,
    labels: BTreeMap<String, String>,
    value: u64,
}

#[derive(Deserialize)]
struct Histogram {
    name: String,
    labels: BTreeMap<String, String>,
    values: Vec<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("record") => {
            let recorder = record()?;
            let worker = recorder.worker(CloudWatchSink::new(client().await));
            // Told to stop at once, it sends what there is.
            let stats = worker.run_until(async {}).await;
            println!(
                "{}",
                json!({
                    "requests": stats.requests,
                    "failed_requests": stats.failed_requests,
                    "data_sent": stats.data_sent,
                    "data_lost": stats.data_lost,
                })
            );
        }
        Some("emf") => {
            let recorder = record()?;
            recorder
                .worker(EmfSink::new(std::io::stdout()))
                .flush()
                .await?;
        }
        Some("apply") => {
            let applied = operations()?.apply(&client().await).await?;
            println!(
                "{}",
                json!({"dashboard": applied.dashboard, "alarms": applied.alarms})
            );
        }
        Some("deploy") => {
            let more = std::env::args().nth(2);
            let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
            let client = aws_sdk_cloudformation::Client::new(&config);
            let operations = operations_with(more.as_deref())?;
            let deployed = operations.deploy(&client, "chat-operations", None).await?;
            println!("{}", json!({"change": format!("{:?}", deployed.change)}));
        }
        Some("cloudformation") => println!("{:#}", operations()?.cloudformation()),
        Some("prometheus") => println!("{:#}", operations()?.prometheus_rules()),
        Some("grafana") => println!("{:#}", operations()?.grafana_dashboard()),
        Some("metrics") => println!("{}", metrics_table()),
        Some("policy") => println!("{:#}", operations()?.iam_policy()),
        _ => bail!(
            "expected record, emf, apply, deploy, cloudformation, prometheus, grafana, metrics or policy"
        ),
    }
    Ok(())
}

async fn client() -> Client {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    Client::new(&config)
}

fn record() -> Result<CloudWatchRecorder> {
    static METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
    let Recording {
        counters,
        histograms,
    } = serde_json::from_reader(stdin())?;
    let recorder = CloudWatchRecorder::builder()
        .dimension("Service", "chat")
        // moto on a busy machine is slow, and none of these tests is of time.
        .timeout(Duration::from_secs(40))
        .shutdown_timeout(Duration::from_secs(45))
        .build()?;
    for counter in counters {
        let key = key(counter.name, counter.labels);
        recorder
            .register_counter(&key, &METADATA)
            .increment(counter.value);
    }
    for histogram in histograms {
        recorder.describe_histogram(
            histogram.name.clone().into(),
            Some(Unit::Milliseconds),
            "".into(),
        );
        let key = key(histogram.name, histogram.labels);
        let handle = recorder.register_histogram(&key, &METADATA);
        histogram
            .values
            .iter()
            .for_each(|value| handle.record(*value));
    }
    Ok(recorder)
}

fn key(name: String, labels: BTreeMap<String, String>) -> Key {
    let labels: Vec<_> = labels
        .into_iter()
        .map(|(name, value)| Label::new(name, value))
        .collect();
    Key::from_parts(name, labels)
}

fn metrics_table() -> Value {
    METRICS
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind);
            json!({"name": metric.name, "kind": kind, "labels": metric.labels})
        })
        .collect()
}

fn operations() -> Result<Operations> {
    operations_with(None)
}

fn operations_with(model: Option<&str>) -> Result<Operations> {
    let target = |region, model| Target::parse(region, model);
    let operations = Operations::builder("chat")
        .dimension("Service", "chat")
        .target(target(
            "us-east-1",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
        )?)
        .target(target("us-west-2", "amazon.nova-lite-v1:0")?)
        .topic(
            Severity::Critical,
            "arn:aws:sns:us-east-1:123456789012:pager",
        )
        .log_group("/chat/application");
    let operations = match model {
        Some(model) => operations.target(target("us-west-2", model)?),
        None => operations,
    };
    Ok(operations.build()?)
}
