//! What the retry layer does while Bedrock is in trouble, in paused time:
//! `cargo run -p tower-bedrock-retry --example retry_outage`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::time::{Duration, Instant};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Context, Fault, FaultKind, GaveUp, HasCompletion, HasFault, Invocation,
    Target,
};
use tower_bedrock_retry::{Failure, FixedCycle, Observer, Policy, RetryLayer};

type Call = Invocation<&'static str>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    // Quotas of this account are known to be refreshed at 45 s past the minute.
    let policy = Policy::builder()
        .quota_cycle(FixedCycle::minute(start + Duration::from_secs(45)))
        .build()?;
    let narrator = Arc::new(Narrator {
        start,
        silent: AtomicBool::new(false),
    });
    let layer = RetryLayer::builder(policy)
        .rng(StdRng::seed_from_u64(2026))
        .observer(Arc::clone(&narrator))
        .build();
    let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
    let call = |limit| {
        let context = Context::new().with_deadline(Instant::now() + limit);
        Invocation::new(target.clone(), "Say hello.").with_context(context)
    };
    let minute = Duration::from_secs(60);

    let scene = |title| println!("\n{title}");
    scene("A 503, once: tried again at once");
    narrator
        .tell(
            layer.layer(failing(1, FaultKind::Unavailable)),
            call(minute),
        )
        .await;

    scene("Three 500s in a row: exponential backoff with full jitter");
    narrator
        .tell(layer.layer(failing(3, FaultKind::Internal)), call(minute))
        .await;

    scene("Out of tokens for this minute: just past the quota's refresh");
    narrator
        .tell(
            layer.layer(failing(1, FaultKind::ThrottledTokens)),
            call(minute),
        )
        .await;

    scene("Out of tokens for this day, or a request that is wrong: not tried again");
    for kind in [FaultKind::ThrottledTokensPerDay, FaultKind::Validation] {
        narrator
            .tell(layer.layer(failing(1, kind)), call(minute))
            .await;
    }

    scene(
        "Told to come back in 90 s, with 60 s left: given up at once, for a fallback to take over",
    );
    let overloaded = Fault::new(FaultKind::Overloaded).with_retry_after(Duration::from_secs(90));
    narrator
        .tell(layer.layer(failing(1, overloaded)), call(minute))
        .await;

    scene("Down for five minutes, ten calls a second: the budget keeps retries from adding to it");
    narrator.silent.store(true, Ordering::Relaxed);
    let outage_ends = Instant::now() + 5 * minute;
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let service = layer.layer(service_fn(move |_: Call| {
        counter.fetch_add(1, Ordering::Relaxed);
        let down = Instant::now() < outage_ends;
        async move {
            match down {
                true => Err(BoxError::from(Fault::new(FaultKind::Unavailable))),
                false => Ok(Answer::new("Hello.")),
            }
        }
    }));
    println!("   minute  calls  sent  answered  retries left");
    for n in 1..=7 {
        sent.store(0, Ordering::Relaxed);
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..600 {
            calls.spawn(service.clone().oneshot(call(minute)));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let calls_made = calls.len();
        let answered = calls
            .join_all()
            .await
            .iter()
            .filter(|end| end.is_ok())
            .count();
        println!(
            "   {n:6}  {calls_made:5}  {:4}  {answered:8}  {:12}",
            sent.load(Ordering::Relaxed),
            layer.budget_left(&target).unwrap_or_default(),
        );
    }
    Ok(())
}

/// A service that fails the first calls and then answers.
fn failing(
    times: u32,
    fault: impl Into<Fault>,
) -> impl Service<Call, Response = Answer<&'static str>, Error = BoxError> + Clone {
    let (calls, fault) = (Arc::new(AtomicU32::new(0)), fault.into());
    service_fn(move |_: Call| {
        let fails = calls.fetch_add(1, Ordering::Relaxed) < times;
        async move {
            match fails {
                true => Err(BoxError::from(fault)),
                false => Ok(Answer::new("Hello.")),
            }
        }
    })
}

/// Prints what it is told, with the time.
struct Narrator {
    start: Instant,
    silent: AtomicBool,
}

impl Narrator {
    fn say(&self, what: &str) {
        if !self.silent.load(Ordering::Relaxed) {
            println!("   {:7.3} s  {what}", self.start.elapsed().as_secs_f64());
        }
    }

    async fn tell<S>(&self, service: S, call: Call)
    where
        S: Service<Call, Response = Answer<&'static str>, Error = BoxError>,
    {
        match service.oneshot(call).await {
            Ok(answer) => {
                let attempts = answer.history().map_or(0, |history| history.attempts);
                self.say(&format!("answered after {attempts} attempt(s)"));
            }
            Err(error) => {
                let attempts = error.history().map_or(0, |history| history.attempts);
                self.say(&format!("{} after {attempts} attempt(s)", error.fault()));
            }
        }
    }
}

impl Observer for Narrator {
    fn attempt_failed(&self, failure: &Failure<'_>) {
        self.say(&format!(
            "attempt {} met {}",
            failure.attempt, failure.fault
        ));
    }

    fn will_retry(&self, _: &Failure<'_>, delay: Duration) {
        self.say(&format!("next attempt in {:.3} s", delay.as_secs_f64()));
    }

    fn gave_up(&self, _: &Failure<'_>, why: GaveUp) {
        self.say(&format!("given up: {}", why.as_str()));
    }
}
