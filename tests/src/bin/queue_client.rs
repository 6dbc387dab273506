//! What the real-client tests have the queue crate do: work at an SQS queue until the standard input ends.
//!
//! The first line of the input says at which: `{"queue", "dead_letters", "poll", "visibility", "max_attempts",
//! "max_receives", "stuck", "send": [{"key", "body", "group"}]}`, with seconds for times. A body is answered with itself in capitals,
//! after so many milliseconds where it begins with their number, unless it is the name of a fault; `later` is throttled
//! twice before it is answered, and `later 5` five times. One that is `stuck` answers none. Each answer is a line of the output.

use std::{
    io::{BufRead, Write, stdin, stdout},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use aws_config::BehaviorVersion;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::oneshot, time::sleep};
use tower_bedrock_core::{Answer, BoxError, Demand, Fault, FaultKind, Invocation, Target};
use tower_bedrock_queue::{Message, Results, SqsQueue, Worker, codec_fn};

#[derive(Deserialize)]
struct Job {
    queue: String,
    dead_letters: String,
    poll: u64,
    visibility: u64,
    max_attempts: u32,
    max_receives: u32,
    stuck: bool,
    #[serde(default)]
    send: Vec<Work>,
}

#[derive(Deserialize)]
struct Work {
    key: String,
    body: String,
    group: Option<String>,
}

/// Results as lines of the output.
struct Printed;

impl Results for Printed {
    type Error = std::io::Error;

    async fn has(&self, _: &str) -> std::io::Result<bool> {
        Ok(false)
    }

    async fn put(&self, key: &str, result: Bytes) -> std::io::Result<()> {
        let result = String::from_utf8_lossy(&result);
        print(&json!({"key": key, "result": result}))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line).context("the first line")?;

    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = aws_sdk_sqs::Client::new(&config);
    let queue = SqsQueue::new(client, job.queue, job.dead_letters)
        .with_poll(Duration::from_secs(job.poll))
        .with_max_receives(job.max_receives);
    for Work { key, body, group } in job.send {
        let message = Message::new(key, body);
        let message = match group {
            Some(group) => message.with_group(group),
            None => message,
        };
        queue.send(&message).await?;
    }

    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
    let codec = codec_fn(
        move |message: &Message| {
            let prompt = String::from_utf8(message.body().to_vec())?;
            Ok(Invocation::new(target.clone(), prompt).with_demand(Demand::new(1)))
        },
        |answer: Answer<String>| Ok(answer.into_output().into()),
    );
    let service = tower::service_fn(move |call| async move {
        if job.stuck {
            std::future::pending::<()>().await;
        }
        answer(call).await
    });
    let worker = Worker::builder(queue, service, codec)
        .results(Printed)
        .visibility(Duration::from_secs(job.visibility))
        .max_attempts(job.max_attempts)
        .build()?;
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        for _ in stdin().lock().lines() {}
        let _ = ended.send(());
    });
    let report = worker.run_until(async { drop(end.await) }).await;
    print(&json!({
        "answered": report.answered,
        "set_aside": report.set_aside,
        "given_back": report.given_back,
    }))?;
    Ok(())
}

async fn answer(call: Invocation<String>) -> Result<Answer<String>, BoxError> {
    let prompt = call.into_input();
    let (first, second) = prompt.split_once(' ').unwrap_or((&prompt, "2"));
    if let Ok(millis) = first.parse() {
        sleep(Duration::from_millis(millis)).await;
    }
    static TIMES_LATER: AtomicU32 = AtomicU32::new(0);
    if first == "later" && TIMES_LATER.fetch_add(1, Ordering::Relaxed) < second.parse()? {
        return Err(Fault::new(FaultKind::Throttled).into());
    }
    match FaultKind::ALL.iter().find(|kind| kind.as_str() == prompt) {
        Some(kind) => Err(Fault::new(*kind).into()),
        None => Ok(Answer::new(prompt.to_uppercase())),
    }
}

fn print(line: &serde_json::Value) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
