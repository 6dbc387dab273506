//! A batch that yields to chat: 400 documents wait in a queue, and are summarised with what people who chat leave of
//! the quota. In simulated time, so that it takes a moment and not a quarter of an hour.
//!
//! ```console
//! $ cargo run -p examples --bin batch_beside_chat
//! ```

use anyhow::{Context as _, Result};
use bedrock_sim::{Config, Input, Prompt, Reply, Simulator};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};
use tower::{Layer, ServiceExt};
use tower_bedrock::{
    Answer, Context, Priority, StandardStack, Target,
    queue::{MemoryQueue, Message, Worker, codec_fn},
    quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern},
};

const MODEL: &str = "amazon.nova-lite-v1:0";
const TOKENS_PER_MINUTE: u64 = 20_000;
/// As much as people may want in a minute: what the batch has used comes back no sooner.
const LEFT_TO_PEOPLE: u64 = 12_000;
const DOCUMENTS: usize = 400;
/// When people chat, in minutes.
const CHAT: std::ops::Range<u64> = 4..8;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let config = format!(
        "[models.{MODEL:?}]\ntokens_per_minute = {TOKENS_PER_MINUTE}\noutput_tokens = {{ min = 100, max = 300 }}"
    );
    let simulator = Simulator::new(Config::from_toml(&config)?)?;
    let limits = Limits::new().with_tokens_per_minute(TOKENS_PER_MINUTE);
    let table = LimitTable::new().with(QuotaPattern::model(MODEL), limits);
    let limiter = Limiter::new(table)?;
    let stack = StandardStack::new()
        .map_err(anyhow::Error::from_boxed)?
        .with_quota(QuotaLayer::new(limiter.clone()));
    let headroom = (limiter, stack.breaker().handle());
    let bedrock = stack.layer(simulator.service());
    let target = Target::parse("us-east-1", MODEL)?;

    // In memory, because nothing here outlives the program. `EmbeddedQueue` and `SqsQueue` take its place where
    // something does.
    let queue = MemoryQueue::new();
    for number in 0..DOCUMENTS {
        let body = format!("Summarise document {number} in two sentences.");
        queue.send(Message::new(format!("document-{number}"), body));
    }
    let model = target.clone();
    let codec = codec_fn(
        move |message: &Message| {
            let mut input = Input::default();
            input.add_text(std::str::from_utf8(message.body())?);
            Ok(Prompt::new(input)
                .with_max_output_tokens(300)
                .to(model.clone()))
        },
        |answer: Answer<Reply>| Ok(answer.into_output().text().into_owned().into()),
    );
    let worker = Worker::builder(queue.clone(), bedrock.clone(), codec)
        .results(queue.clone())
        .headroom(headroom)
        .leave_tokens(LEFT_TO_PEOPLE)
        .build()?;
    let drained = {
        let queue = queue.clone();
        async move { queue.drained().await }
    };
    let working = tokio::spawn(worker.run_until(drained));

    println!("minute  chats  slowest answer  documents left");
    let started = Instant::now();
    while !working.is_finished() {
        let minute = started.elapsed().as_secs() / 60;
        let mut chats = JoinSet::new();
        for _ in 0..12 {
            if CHAT.contains(&minute) {
                // A long conversation.
                let call = Prompt::new(Input::of_tokens(700))
                    .with_max_output_tokens(400)
                    .to(target.clone())
                    .with_context(Context::new().with_priority(Priority::Interactive));
                let bedrock = bedrock.clone();
                chats.spawn(async move {
                    let asked = Instant::now();
                    bedrock.oneshot(call).await.map(|_| asked.elapsed())
                });
            }
            sleep(Duration::from_secs(5)).await;
        }
        let waits: Vec<_> = chats
            .join_all()
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let slowest = waits
            .iter()
            .max()
            .map_or("-".to_owned(), |wait| format!("{wait:.1?}"));
        println!(
            "{minute:6}  {:5}  {slowest:>14}  {:14}",
            waits.len(),
            queue.len()
        );
    }
    let report = working.await.context("the worker")?;

    println!("{DOCUMENTS} documents, {} failed", report.set_aside);
    let ledger = simulator.ledger();
    let throttled = ledger
        .entries
        .iter()
        .filter(|entry| entry.status == Some(429));
    match throttled.count() {
        0 => println!("no call was throttled"),
        count => println!("{count} calls were throttled"),
    }
    Ok(())
}
