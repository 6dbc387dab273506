//! Three applications share a quota of 150 requests a minute, 50 each. One of them wants 60 from the fourth
//! minute on, and 75 from the seventh. Without a limiter its surplus throttles all three; with one, nobody is
//! throttled and each has its share.
//!
//! Simulated time: it takes a moment, not ten minutes.
//!
//! `cargo run -p tower-bedrock-quota --example spike`

#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_bedrock_core::{Answer, Demand, Fault, FaultKind, Invocation, Target, TokenUsage};
use tower_bedrock_quota::{LimitTable, Limits, QuotaLayer, QuotaPattern};

const MINUTE: Duration = Duration::from_secs(60);
const MINUTES: u32 = 9;

type Bedrock = BoxCloneSyncService<Invocation<&'static str>, Answer<&'static str>, BoxError>;

/// A model with a quota of 150 requests in any minute.
fn bedrock() -> Bedrock {
    let sent = Arc::new(Mutex::new(VecDeque::<Instant>::new()));
    BoxCloneSyncService::new(service_fn(move |_| {
        let now = Instant::now();
        let mut sent = sent.lock().expect("nobody panics with it");
        while sent.front().is_some_and(|at| *at + MINUTE <= now) {
            sent.pop_front();
        }
        let throttled = sent.len() >= 150;
        if !throttled {
            sent.push_back(now);
        }
        async move {
            if throttled {
                return Err(Fault::new(FaultKind::ThrottledRequests).into());
            }
            let usage = TokenUsage {
                input: 10,
                output: 10,
                ..TokenUsage::default()
            };
            Ok(Answer::new("Hello.").with_usage(usage))
        }
    }))
}

/// What each application wants in a minute.
fn wanted(application: usize, minute: u32) -> u32 {
    match (application, minute) {
        (0, 3..6) => 60,
        (0, 6..) => 75,
        _ => 50,
    }
}

/// Answered, throttled and turned away, by application and minute.
type Counts = [[[u32; 3]; MINUTES as usize]; 3];

async fn run(services: [Bedrock; 3]) -> Counts {
    let counts = Arc::new(Mutex::new(Counts::default()));
    let start = Instant::now();
    let mut calls = Vec::new();
    for (application, service) in services.into_iter().enumerate() {
        for minute in 0..MINUTES {
            let wanted = wanted(application, minute);
            for i in 0..wanted {
                let (mut service, counts) = (service.clone(), Arc::clone(&counts));
                calls.push(tokio::spawn(async move {
                    sleep(MINUTE * minute + MINUTE * i / wanted).await;
                    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
                    let call = Invocation::new(target, "Say hello.")
                        .with_demand(Demand::new(10).with_max_output_tokens(20));
                    let result = service.ready().await?.call(call).await;
                    let minute = start.elapsed().as_secs() / 60;
                    let how = match result {
                        Ok(_) => 0,
                        Err(error) if error.is::<Fault>() => 1,
                        Err(_) => 2,
                    };
                    let mut counts = counts.lock().expect("nobody panics with it");
                    if let Some(counts) = counts[application].get_mut(minute as usize) {
                        counts[how] += 1;
                    }
                    Ok::<_, BoxError>(())
                }));
            }
        }
    }
    for call in calls {
        let _ = call.await;
    }
    *counts.lock().expect("nobody panics with it")
}

fn print(counts: &Counts) {
    for (application, minutes) in counts.iter().enumerate() {
        print!("  application {}:", application + 1);
        for [answered, throttled, turned_away] in minutes {
            print!("  {answered:>3} /{throttled:>3} /{turned_away:>3}");
        }
        println!();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    tokio::time::pause();
    println!("answered / throttled / turned away, minute by minute");

    let quota = bedrock();
    println!("\nwithout a limiter");
    print(&run([quota.clone(), quota.clone(), quota]).await);

    let quota = bedrock();
    // Each application is told its share.
    let limits = LimitTable::new().with(
        QuotaPattern::any(),
        Limits::new().with_requests_per_minute(50),
    );
    let application = || -> Result<Bedrock, BoxError> {
        let layer = QuotaLayer::with_limits(limits.clone())?;
        let service = tower::Layer::layer(&layer, quota.clone());
        Ok(BoxCloneSyncService::new(service))
    };
    println!("\nwith one in each application");
    print(&run([application()?, application()?, application()?]).await);
    Ok(())
}
