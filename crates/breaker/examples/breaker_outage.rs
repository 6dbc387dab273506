//! What the breaker does in an outage of twenty minutes, in paused time.
//!
//! ```text
//! cargo run -p tower-bedrock-breaker --example breaker_outage
//! ```
//!
//! A call is made every second. The target answers 503 from 1:00 to 21:00; the open interval doubles with every
//! trip, from 30 seconds to 5 minutes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::broadcast,
    time::{Duration, Instant, sleep_until},
};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_bedrock_breaker::{CircuitBreakerLayer, EventKind};
use tower_bedrock_core::{Answer, Fault, FaultKind, HasFault, Invocation, Target};

const OUTAGE: std::ops::Range<u64> = 60..21 * 60;
const END: u64 = 30 * 60;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let (events, mut reader) = broadcast::channel(64);
    let breaker = CircuitBreakerLayer::builder()
        .wait_duration_in_open_state(Duration::from_secs(30))
        .exponential_backoff_multiplier(2.0)
        .exponential_max_wait_duration_in_open_state(Duration::from_secs(300))
        .permitted_number_of_calls_in_half_open_state(3)
        .half_open_failure_threshold(1)
        .observer(events)
        .build()?;
    let handle = breaker.handle();

    let sent_into_the_outage = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent_into_the_outage);
    let service = ServiceBuilder::new().layer(breaker).service(service_fn(
        move |_: Invocation<&'static str>| {
            let down = OUTAGE.contains(&start.elapsed().as_secs());
            counter.fetch_add(u64::from(down), Ordering::Relaxed);
            async move {
                if down {
                    Err::<_, BoxError>(Fault::new(FaultKind::Unavailable).into())
                } else {
                    Ok(Answer::new("Hello."))
                }
            }
        },
    ));

    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
    let (mut answered, mut failed, mut turned_away) = (0_u64, 0_u64, 0_u64);
    println!("{target}, a call every second, down from 1:00 to 21:00\n");
    println!("  time  what happened");
    for second in 0..END {
        sleep_until(start + Duration::from_secs(second)).await;
        let call = Invocation::new(target.clone(), "Say hello.");
        match service.clone().oneshot(call).await {
            Ok(_) => answered += 1,
            Err(error) if error.fault().kind() == FaultKind::CircuitOpen => turned_away += 1,
            Err(_) => failed += 1,
        }
        while let Ok(event) = reader.try_recv() {
            let at = (event.at - start).as_secs();
            print!("{:>3}:{:02}  ", at / 60, at % 60);
            match event.kind {
                EventKind::Transition {
                    from,
                    to,
                    cause,
                    open_for,
                } => {
                    print!("{from} -> {to} ({cause})");
                    println!(
                        "{}",
                        open_for.map_or(String::new(), |time| format!(" for {time:?}"))
                    );
                }
                other => println!("{other:?}"),
            }
        }
    }

    println!("\n{answered} calls answered, {failed} failed, {turned_away} turned away at once");
    println!(
        "{} of {} calls made during the outage were sent into it",
        sent_into_the_outage.load(Ordering::Relaxed),
        OUTAGE.end - OUTAGE.start,
    );
    if let Some(seen) = handle.snapshot(&target) {
        println!(
            "at the end: {}, {} calls in the window",
            seen.state, seen.calls
        );
    }
    Ok(())
}
