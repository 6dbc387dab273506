//! A worker at an embedded queue whose process is killed, again and again.

#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)]

use std::{
    cell::Cell,
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{ChildStdout, Command, Stdio},
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_bedrock_core::{Answer, BoxError, Demand, Invocation, Target};
use tower_bedrock_queue::{EmbeddedQueue, Message, Worker, codec_fn};

/// Set where this program is to be the worker: the queue's file.
const WORK_AT: &str = "TOWER_BEDROCK_QUEUE_WORK_AT";
const MESSAGES: usize = 10_000;
const KILLS: usize = 100;
const CONCURRENCY: usize = 32;
/// Set where the worker is to be killed: its first call is never answered, nor is any after so many. So it is always
/// amid its work when it is killed, however late that comes, and leaves some to the others.
const MOST_CALLS: &str = "TOWER_BEDROCK_QUEUE_MOST_CALLS";
const CALLS: usize = 90;

/// Each call is told on the standard output before it is answered.
async fn work(path: &Path) {
    let queue = EmbeddedQueue::open(path).unwrap();
    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
    let codec = codec_fn(
        move |message: &Message| {
            let prompt = String::from_utf8(message.body().to_vec())?;
            Ok(Invocation::new(target.clone(), prompt).with_demand(Demand::new(1)))
        },
        |answer: Answer<String>| Ok(answer.into_output().into()),
    );
    let most: Option<usize> = env::var(MOST_CALLS)
        .ok()
        .map(|calls| calls.parse().unwrap());
    let made = Cell::new(0);
    let service = tower::service_fn(|call: Invocation<String>| async {
        let prompt = call.into_input();
        println!("called {prompt}");
        let number = made.replace(made.get() + 1);
        if most.is_some_and(|most| number == 0 || number >= most) {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        Ok::<_, BoxError>(Answer::new(prompt.to_uppercase()))
    });
    let worker = Worker::builder(queue.clone(), service, codec)
        .results(queue.clone())
        .concurrency(CONCURRENCY)
        // The process dies while it holds them, and that counts.
        .max_attempts(1_000)
        .build()
        .unwrap();
    worker.run_until(queue.drained()).await;
}

fn worker(path: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "each_of_ten_thousand_is_answered_once",
            "--nocapture",
        ])
        .env(WORK_AT, path)
        .stdout(Stdio::piped());
    command
}

/// The calls that a worker tells of until its end.
fn calls(stdout: ChildStdout) -> impl Iterator<Item = String> {
    let lines = BufReader::new(stdout).lines();
    lines
        .map_while(Result::ok)
        .filter(|line| line.contains("called "))
}

#[test]
fn each_of_ten_thousand_is_answered_once() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if let Some(path) = env::var_os(WORK_AT) {
        runtime.block_on(work(path.as_ref()));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue");
    let body = |number: usize| format!("prompt {number}");
    runtime.block_on(async {
        let queue = EmbeddedQueue::open(&path).unwrap();
        let messages = (0..MESSAGES).map(|number| Message::new(number.to_string(), body(number)));
        assert_eq!(queue.send_all(messages.collect()).await.unwrap(), MESSAGES);
    });

    let mut random = StdRng::seed_from_u64(7);
    let mut called = 0;
    for _ in 0..KILLS {
        let mut command = worker(&path);
        let mut worker = command.env(MOST_CALLS, CALLS.to_string()).spawn().unwrap();
        let wanted = random.random_range(1..CALLS);
        let mut calls = calls(worker.stdout.take().unwrap());
        let made = calls.by_ref().take(wanted).count();
        assert_eq!(made, wanted, "it has ended by itself");
        assert!(worker.try_wait().unwrap().is_none());
        // SIGKILL, where there is such a thing.
        worker.kill().unwrap();
        worker.wait().unwrap();
        // Those that it still told of are in the pipe.
        called += made + calls.count();
    }
    let mut last = worker(&path).spawn().unwrap();
    called += calls(last.stdout.take().unwrap()).count();
    assert!(last.wait().unwrap().success());

    // Nothing is left, nothing was set aside, and every result is its message's.
    runtime.block_on(async {
        let queue = EmbeddedQueue::open(&path).unwrap();
        assert!(queue.is_empty());
        assert_eq!(queue.dead_letters().await.unwrap(), []);
        for number in 0..MESSAGES {
            let result = queue.result(&number.to_string()).await.unwrap();
            assert_eq!(result, Some(Bytes::from(body(number).to_uppercase())));
        }
    });
    // Called for again: at most what was under way when it was killed.
    println!("{called} calls for {MESSAGES} messages and {KILLS} kills");
    assert!(called <= MESSAGES + KILLS * CONCURRENCY, "{called}");
}
