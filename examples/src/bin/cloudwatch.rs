//! What CloudWatch is told of calls that a quota throttles: every minute one line of its Embedded Metric Format for each
//! set of dimensions, as AWS Lambda or the CloudWatch agent take them from a log. In simulated time.
//!
//! ```console
//! $ cargo run -p examples --bin cloudwatch
//! ```
//!
//! `PutMetricData` takes them where there is no such log. Only the sink is another:
//!
//! ```text
//! CloudWatchSink::new(aws_sdk_cloudwatch::Client::new(&aws_config::load_from_env().await))
//! ```

use anyhow::Result;
use bedrock_sim::{Config, Input, Prompt, Simulator};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Duration, sleep},
};
use tower::{Layer, ServiceExt};
use tower_bedrock::{
    HasFault, StandardStack, Target,
    cloudwatch::recorder::{CloudWatchRecorder, EmfSink},
};

const MODEL: &str = "amazon.nova-lite-v1:0";
const REQUESTS_PER_MINUTE: u32 = 20;
const CALLS: u32 = 24;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    // Before the stack: layers look their metrics up when they are made.
    let recorder = CloudWatchRecorder::builder()
        .dimension("Service", "chat")
        .build()?;
    let worker = recorder.worker(EmfSink::new(std::io::stdout()));
    metrics::set_global_recorder(recorder)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run_until(async { drop(stopped.await) }));

    let quota = format!("[models.{MODEL:?}]\nrequests_per_minute = {REQUESTS_PER_MINUTE}");
    let simulator = Simulator::new(Config::from_toml(&quota)?)?;
    let stack = StandardStack::new().map_err(anyhow::Error::from_boxed)?;
    let bedrock = stack.layer(simulator.service());

    // More than the quota has room for: it throttles, and they are tried again.
    let mut calls = JoinSet::new();
    let target = Target::parse("us-east-1", MODEL)?;
    for _ in 0..CALLS {
        let call = Prompt::new(Input::of_tokens(100))
            .with_max_output_tokens(100)
            .to(target.clone());
        calls.spawn(bedrock.clone().oneshot(call));
        sleep(Duration::from_secs(1)).await;
    }
    for answer in calls.join_all().await {
        if let Err(error) = answer {
            eprintln!("not answered: {}", error.fault());
        }
    }

    // It sends what is left.
    drop(stop);
    let stats = worker.await?;
    eprintln!("{} data sent, {} lost", stats.data_sent, stats.data_lost);
    Ok(())
}
