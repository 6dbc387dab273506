//! Three applications share a quota of 150 requests a minute, 50 each. One of them wants 60 from the fourth minute on,
//! and 75 from the seventh. Without a limiter its surplus throttles all three; with one, nobody is throttled and each
//! has its share.
//!
//! `cargo test -p tower-bedrock-quota --test simulated spike -- --nocapture` prints what came of each minute's calls.

use std::sync::{Arc, Mutex};

use bedrock_sim::{
    Config, Input, ModelSettings, Prompt, Reply, SimulatedError, Simulator, WindowShape,
};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_bedrock_core::{Answer, FaultKind, HasFault, Invocation, Target};
use tower_bedrock_quota::{LimitTable, Limits, QuotaLayer, QuotaPattern};

const MODEL: &str = "amazon.nova-lite-v1:0";
const MINUTE: Duration = Duration::from_secs(60);
const MINUTES: u32 = 9;

type Bedrock = BoxCloneSyncService<Invocation<Prompt>, Answer<Reply>, SimulatedError>;

fn simulator() -> Simulator {
    let mut config = Config::default();
    let settings = ModelSettings {
        requests_per_minute: Some(Some(150)),
        tokens_per_minute: Some(None),
        window: Some(WindowShape::Sliding),
        ..ModelSettings::default()
    };
    config.models.insert(MODEL.into(), settings);
    Simulator::new(config).unwrap()
}

/// What each application wants in a minute.
const fn wanted(application: usize, minute: u32) -> u32 {
    match (application, minute) {
        (0, 3..6) => 60,
        (0, 6..) => 75,
        _ => 50,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    answered: u32,
    throttled: u32,
    turned_away: u32,
}

/// What came of the calls of each application, by the minute in which that was known.
async fn run(applications: [Bedrock; 3]) -> [Counts; 3] {
    let counts = Arc::new(Mutex::new([[Counts::default(); MINUTES as usize + 2]; 3]));
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for (application, bedrock) in applications.into_iter().enumerate() {
        for minute in 0..MINUTES {
            let wanted = wanted(application, minute);
            for i in 0..wanted {
                let (bedrock, counts) = (bedrock.clone(), Arc::clone(&counts));
                calls.spawn(async move {
                    sleep(MINUTE * minute + MINUTE * i / wanted).await;
                    let mut input = Input::default();
                    input.add_text("Say hello.");
                    let target = Target::parse("us-east-1", MODEL).unwrap();
                    let prompt = Prompt::new(input).with_max_output_tokens(20);
                    let answer = bedrock.oneshot(prompt.to(target)).await;
                    let minute = start.elapsed().as_secs() as usize / 60;
                    let counts = &mut counts.lock().unwrap()[application][minute];
                    match answer.map_err(|error| error.fault().kind()) {
                        Ok(_) => counts.answered += 1,
                        Err(FaultKind::ThrottledRequests) => counts.throttled += 1,
                        Err(FaultKind::QuotaExhausted) => counts.turned_away += 1,
                        Err(other) => panic!("{other:?}"),
                    }
                });
            }
        }
    }
    calls.join_all().await;
    counts.lock().unwrap().map(|minutes| {
        let mut all = Counts::default();
        for counts in minutes {
            let Counts {
                answered,
                throttled,
                turned_away,
            } = counts;
            print!("  {answered:>3} /{throttled:>3} /{turned_away:>3}");
            all.answered += answered;
            all.throttled += throttled;
            all.turned_away += turned_away;
        }
        println!();
        all
    })
}

#[tokio::test(start_paused = true)]
async fn one_applications_spike_throttles_nobody() {
    println!("answered / throttled / turned away, minute by minute");
    println!("without a limiter");
    let bedrock = simulator().service();
    let [_, neighbours @ ..] =
        run([(); 3].map(|()| BoxCloneSyncService::new(bedrock.clone()))).await;
    // Whose calls come just after its own.
    let throttled: u32 = neighbours.iter().map(|counts| counts.throttled).sum();
    assert!(throttled > 20, "{neighbours:?}");

    println!("with one in each application, which is told its share");
    let simulator = simulator();
    let limits = Limits::new().with_requests_per_minute(50);
    let table = LimitTable::new().with(QuotaPattern::any(), limits);
    let [greedy, second, third] = run([(); 3].map(|()| {
        let layer = QuotaLayer::with_limits(table.clone()).unwrap();
        BoxCloneSyncService::new(layer.layer(simulator.service()))
    }))
    .await;
    let throttled = |entry: &&bedrock_sim::LedgerEntry| entry.status == Some(429);
    assert_eq!(
        simulator.ledger().entries.iter().filter(throttled).count(),
        0
    );
    for modest in [second, third] {
        assert_eq!((modest.answered, modest.turned_away), (50 * MINUTES, 0));
    }
    // Its fifty a minute, and those that still waited in the end.
    let most = 50 * (MINUTES + 1);
    assert!((most - 55..=most).contains(&greedy.answered), "{greedy:?}");
}
