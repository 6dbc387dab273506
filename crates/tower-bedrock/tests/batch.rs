//! A batch beside people: the standard stack over the simulator, in simulated time.

#![cfg(all(feature = "queue", feature = "stack"))]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bedrock_sim::{
    Config, Input, LedgerEntry, ModelSettings, Prompt, Reply, SimulatedError, Simulator,
    WindowShape,
};
use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{Layer, ServiceExt};
use tower_bedrock::{
    Answer, Context, Invocation, Priority, StandardStack, Target,
    queue::{MemoryQueue, Message, Report, Worker, codec_fn},
    quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern},
};

const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const TOKENS_PER_MINUTE: u64 = 1_000_000;
const MINUTES: u64 = 20;
/// Of which each costs 2,725 tokens on average: 40% of the quota.
const PEOPLES_CALLS_A_MINUTE: f64 = 147.0;

/// What is called, drawn from a seed.
#[derive(Clone, Copy, Debug)]
struct Work {
    input: u64,
    output: u64,
}

impl Work {
    const fn max_output() -> u64 {
        1_000
    }

    fn draw(random: &mut StdRng) -> Self {
        Self {
            input: random.random_range(200..=2_000),
            output: random.random_range(50..=600),
        }
    }

    fn call(self) -> Invocation<Prompt> {
        Prompt::new(Input::of_tokens(self.input))
            .with_max_output_tokens(Self::max_output())
            .with_output_tokens(self.output)
            .to(Target::parse("us-east-1", MODEL).unwrap())
    }
}

/// What a run came to.
struct Run {
    /// How long people waited for their answers, the quickest first.
    latencies: Vec<Duration>,
    entries: Vec<LedgerEntry>,
    report: Report,
}

impl Run {
    fn percentile(&self, part: f64) -> Duration {
        let last = (self.latencies.len() - 1) as f64;
        self.latencies[(last * part).round() as usize]
    }

    /// Of the quota, from the second minute on.
    fn used(&self) -> f64 {
        let counted = |entry: &&LedgerEntry| {
            let ended = entry.ended_ms.unwrap_or(u64::MAX);
            (60_000..MINUTES * 60_000).contains(&ended)
        };
        let tokens = self.entries.iter().filter(counted);
        let tokens: u64 = tokens.map(|entry| entry.settled).sum();
        tokens as f64 / ((MINUTES - 1) * TOKENS_PER_MINUTE) as f64
    }

    fn throttles(&self) -> usize {
        let throttled = |entry: &&LedgerEntry| entry.status == Some(429);
        self.entries.iter().filter(throttled).count()
    }
}

/// What runs beside people's calls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beside {
    Nothing,
    /// A batch without end, with a worker's defaults.
    Batch,
    /// One that leaves such a share of the quota.
    BatchLeaving(f64),
}

async fn run(beside: Beside) -> Run {
    let settings = ModelSettings {
        requests_per_minute: Some(None),
        tokens_per_minute: Some(Some(TOKENS_PER_MINUTE)),
        tokens_per_day: Some(None),
        window: Some(WindowShape::Sliding),
        burndown: Some(5),
        time_to_first_token_ms: Some(1_000),
        tokens_per_second: Some(50.0),
        tokenizer_ratio: Some(1.0),
        ..ModelSettings::default()
    };
    let mut config = Config {
        ledger_entries: 100_000,
        ..Config::default()
    };
    config.models.insert(MODEL.into(), settings);
    let simulator = Simulator::new(config).unwrap();

    let limits = Limits::new().with_tokens_per_minute(TOKENS_PER_MINUTE);
    let table = LimitTable::new().with(QuotaPattern::any(), limits);
    let limiter = Limiter::builder().limits(table).build().unwrap();
    let stack = StandardStack::new()
        .unwrap()
        .with_quota(QuotaLayer::new(limiter.clone()));
    let breaker = stack.breaker().handle();
    let bedrock = stack.layer(simulator.service());

    let started = Instant::now();
    let end = started + Duration::from_secs(MINUTES * 60);
    let queue = MemoryQueue::new();
    if beside != Beside::Nothing {
        for number in 0..MINUTES * 400 {
            queue.send(Message::new(number.to_string(), Bytes::new()));
        }
    }
    let codec = codec_fn(
        |message: &Message| {
            let mut random = StdRng::seed_from_u64(message.key().parse()?);
            Ok(Work::draw(&mut random).call())
        },
        |_: Answer<Reply>| Ok(Bytes::new()),
    );
    let mut worker = Worker::builder(queue.clone(), bedrock.clone(), codec)
        .results(queue.clone())
        .headroom((limiter, breaker))
        .concurrency(64);
    if let Beside::BatchLeaving(share) = beside {
        worker = worker.leave_share(share);
    }
    let worker = worker.build().unwrap();
    let working = tokio::spawn(worker.run_until(sleep_until(end)));

    let mut random = StdRng::seed_from_u64(1);
    let mut people = JoinSet::new();
    let mut at = started;
    loop {
        let wait = -(1.0 - random.random::<f64>()).ln() * 60.0 / PEOPLES_CALLS_A_MINUTE;
        at += Duration::from_secs_f64(wait);
        if at >= end {
            break;
        }
        let context = Context::new().with_priority(Priority::Interactive);
        let call = Work::draw(&mut random).call().with_context(context);
        let bedrock = bedrock.clone();
        people.spawn(async move {
            sleep_until(at).await;
            bedrock.oneshot(call).await?;
            Ok::<_, SimulatedError>(at.elapsed())
        });
    }
    let mut latencies: Vec<_> = people
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    latencies.sort_unstable();
    let report = working.await.unwrap();
    Run {
        latencies,
        entries: simulator.ledger().entries,
        report,
    }
}

/// What the batch may add to people's waits: nothing that anybody would notice.
const NOISE: f64 = 1.01;

#[tokio::test(start_paused = true)]
async fn people_wait_no_longer_for_a_batch_that_uses_what_they_leave() {
    let alone = run(Beside::Nothing).await;
    assert_eq!(alone.report, Report::default());
    let greedy = run(Beside::BatchLeaving(0.0)).await;
    let beside = run(Beside::Batch).await;
    for (name, run) in [
        ("alone", &alone),
        ("batch, leaving nothing", &greedy),
        ("batch, as it comes", &beside),
    ] {
        println!(
            "{name:25} p50 {:?}, p99 {:?}, used {:.3}, batch {}, 429s {}",
            run.percentile(0.5),
            run.percentile(0.99),
            run.used(),
            run.report.answered,
            run.throttles(),
        );
    }
    for part in [0.5, 0.99] {
        let (without, with) = (alone.percentile(part), beside.percentile(part));
        assert!(
            with <= without.mul_f64(NOISE),
            "{part}: {with:?}, alone {without:?}"
        );
    }
    // It is the batch that uses the rest, and nobody was throttled for it.
    assert!(alone.used() < 0.45, "{}", alone.used());
    assert!(beside.used() > 0.70, "{}", beside.used());
    assert_eq!(alone.throttles() + beside.throttles(), 0);
    // Priority alone does not do it: a window that is full is full for everyone.
    let (without, with) = (alone.percentile(0.99), greedy.percentile(0.99));
    assert!(with > without.mul_f64(2.0), "{with:?}, alone {without:?}");
    assert!(greedy.used() > 0.95, "{}", greedy.used());
}
