//! Quotas seen from outside: whose they are, when they refill, and who else uses them.

use bedrock_sim::{BackgroundCaller, Config, Denied, ModelSettings, Simulator, WindowShape};
use tokio::time::{Duration, advance};
use tower_bedrock_core::ServiceTier;

use crate::support::{ACME, CLAUDE, acme, call, last, tokens_used};

const TOO_MANY_TOKENS: &str = "Too many tokens, please wait before trying again.";

fn message(denied: &Denied) -> &str {
    match denied {
        Denied::Error(error) => error.message(),
        other => panic!("{other}"),
    }
}

fn limits(requests: u64, tokens: u64, window: WindowShape) -> ModelSettings {
    ModelSettings {
        requests_per_minute: Some(Some(requests)),
        tokens_per_minute: Some(Some(tokens)),
        window: Some(window),
        burndown: Some(1),
        ..ModelSettings::default()
    }
}

/// Takes calls of 100 tokens until one is refused, and answers how many there were.
fn fill(simulator: &Simulator, model: &str) -> u64 {
    let call = call(model, 90).with_max_tokens(10).with_output_tokens(10);
    let mut taken = 0;
    while let Ok(admitted) = simulator.begin(&call) {
        admitted.complete();
        taken += 1;
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn each_shape_refills_in_its_own_way() {
    for (shape, after_half, after_whole) in [
        (WindowShape::Sliding, 0, 10),
        (WindowShape::Fixed, 10, 0),
        (WindowShape::Bucket, 5, 5),
    ] {
        let simulator = acme(limits(1_000, 1_000, shape));
        advance(Duration::from_secs(30)).await;
        assert_eq!(fill(&simulator, ACME), 10, "{shape:?}");
        assert_eq!(
            message(
                &simulator
                    .begin(&call(ACME, 90).with_max_tokens(10))
                    .unwrap_err()
            ),
            TOO_MANY_TOKENS
        );
        advance(Duration::from_secs(30)).await;
        assert_eq!(fill(&simulator, ACME), after_half, "{shape:?}");
        advance(Duration::from_secs(30)).await;
        assert_eq!(fill(&simulator, ACME), after_whole, "{shape:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_as_well() {
    let simulator = acme(limits(3, 1_000_000, WindowShape::Sliding));
    assert_eq!(fill(&simulator, ACME), 3);
    let refused = last(&simulator);
    assert_eq!(
        (refused.outcome, refused.status),
        ("throttled_requests", Some(429))
    );
    assert_eq!(refused.quotas.requests_per_minute.unwrap().used, 3);
}

#[tokio::test(start_paused = true)]
async fn every_way_of_calling_has_its_own_quota() {
    let simulator = Simulator::default();
    let settings = ModelSettings {
        tokens_per_minute: Some(Some(300)),
        requests_per_minute: Some(None),
        ..ModelSettings::default()
    };
    for prefix in ["", "us.", "global."] {
        let id = format!("{prefix}{ACME}").parse().unwrap();
        simulator.set_model(&id, None, &settings).unwrap();
    }
    for prefix in ["", "us.", "global."] {
        let call = call(&format!("{prefix}{ACME}"), 290).with_max_tokens(10);
        simulator.begin(&call).unwrap().complete();
        assert!(simulator.begin(&call).is_err());
    }
    // The same way by ARN is the same quota; in another Region it is another.
    let mut by_arn = call(ACME, 290).with_max_tokens(10);
    let arn = format!("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{ACME}");
    by_arn.model = arn.parse().unwrap();
    assert!(simulator.begin(&by_arn).is_err());
    let mut elsewhere = call(&format!("us.{ACME}"), 290).with_max_tokens(10);
    elsewhere.region = "us-west-2".parse().unwrap();
    simulator.begin(&elsewhere).unwrap().complete();
}

#[tokio::test(start_paused = true)]
async fn tiers_share_a_quota_but_for_reserved_capacity() {
    let simulator = acme(limits(2, 1_000_000, WindowShape::Sliding));
    let mut call = call(ACME, 10).with_max_tokens(10);
    for tier in [ServiceTier::Priority, ServiceTier::Flex] {
        call.service_tier = Some(tier);
        simulator.begin(&call).unwrap().complete();
    }
    call.service_tier = Some(ServiceTier::Default);
    assert!(simulator.begin(&call).is_err());
    call.service_tier = Some(ServiceTier::Reserved);
    simulator.begin(&call).unwrap().complete();
}

#[tokio::test(start_paused = true)]
async fn tokens_a_day_are_the_regions_and_come_back_the_next_day() {
    let simulator = Simulator::new(Config {
        tokens_per_day: Some(5_000),
        ..Config::default()
    })
    .unwrap();
    let big = |model| {
        call(model, 2_400)
            .with_max_tokens(100)
            .with_output_tokens(100)
    };
    let nova = "amazon.nova-pro-v1:0";
    simulator.begin(&big(CLAUDE)).unwrap().complete(); // 2,400 + 100 x 5
    let refused = simulator.begin(&big(nova)).unwrap_err();
    assert_eq!(
        message(&refused),
        "Too many tokens per day, please wait before trying again."
    );
    let level = last(&simulator).quotas.region_tokens_per_day.unwrap();
    assert_eq!((level.used, level.limit), (2_900, 5_000));

    let mut elsewhere = big(nova);
    elsewhere.region = "us-west-2".parse().unwrap();
    simulator.begin(&elsewhere).unwrap().complete();
    advance(Duration::from_secs(86_400)).await;
    simulator.begin(&big(nova)).unwrap().complete();
}

#[tokio::test(start_paused = true)]
async fn a_call_too_big_for_the_quota_never_passes() {
    let simulator = acme(limits(10, 1_000, WindowShape::Bucket));
    advance(Duration::from_secs(600)).await;
    let refused = simulator
        .begin(&call(ACME, 995).with_max_tokens(10))
        .unwrap_err();
    assert_eq!(message(&refused), TOO_MANY_TOKENS);
}

#[tokio::test(start_paused = true)]
async fn others_use_up_what_is_theirs_and_no_more() {
    for shape in [
        WindowShape::Sliding,
        WindowShape::Fixed,
        WindowShape::Bucket,
    ] {
        let simulator = acme(limits(100, 10_000, shape));
        let caller = BackgroundCaller {
            requests_per_minute: 60,
            tokens_per_minute: 6_000,
            from_ms: 60_000,
            until_ms: Some(180_000),
            ..BackgroundCaller::new(ACME)
        };
        simulator.add_background(&caller).unwrap();
        advance(Duration::from_secs(59)).await;
        assert_eq!(tokens_used(&simulator, ACME), 0, "{shape:?}");
        advance(Duration::from_millis(60_999)).await;
        let used = tokens_used(&simulator, ACME);
        match shape {
            // A request of 100 tokens a second, the first of them as it begins.
            WindowShape::Sliding | WindowShape::Fixed => assert_eq!(used, 6_000, "{shape:?}"),
            WindowShape::Bucket => {
                assert!(used < 200, "it refills faster than they use it: {used}")
            }
        }
        advance(Duration::from_secs(240)).await;
        assert_eq!(tokens_used(&simulator, ACME), 0, "{shape:?}");
        assert!(simulator.ledger().entries.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn others_are_throttled_too() {
    let simulator = acme(limits(100_000, 10_000, WindowShape::Sliding));
    let flood = BackgroundCaller {
        requests_per_minute: 6_000,
        tokens_per_minute: 1_000_000,
        ..BackgroundCaller::new(ACME)
    };
    simulator.add_background(&flood).unwrap();
    advance(Duration::from_secs(90)).await;
    assert_eq!(tokens_used(&simulator, ACME), 10_000);
    assert!(simulator.begin(&call(ACME, 1).with_max_tokens(1)).is_err());
}

/// A simulator left alone for years answers at once.
#[tokio::test(start_paused = true)]
async fn a_long_sleep_is_not_caught_up_with() {
    let simulator = acme(limits(100, 10_000, WindowShape::Sliding));
    let caller = BackgroundCaller {
        requests_per_minute: 60,
        tokens_per_minute: 6_000,
        ..BackgroundCaller::new(ACME)
    };
    simulator.add_background(&caller).unwrap();
    advance(Duration::from_secs(10 * 365 * 86_400)).await;
    assert_eq!(tokens_used(&simulator, ACME), 6_000);
}

#[tokio::test(start_paused = true)]
async fn a_reset_puts_levels_faults_and_ledger_back() {
    let simulator = acme(limits(1_000, 1_000, WindowShape::Bucket));
    let held = simulator
        .begin(&call(ACME, 500).with_max_tokens(10))
        .unwrap();
    assert_eq!(fill(&simulator, ACME), 4);
    simulator.reset();
    assert_eq!(tokens_used(&simulator, ACME), 0);
    assert!(simulator.ledger().entries.is_empty());
    // What was held before is settled nowhere.
    held.complete();
    assert_eq!(tokens_used(&simulator, ACME), 0);
    assert!(simulator.ledger().entries.is_empty());
    assert_eq!(fill(&simulator, ACME), 10);
}

/// Threads race for one quota: it admits as many as fit, and no more.
#[test]
fn racing_threads_share_one_quota() {
    let simulator = acme(limits(1_000_000, 10_000, WindowShape::Sliding));
    let admitted = std::thread::scope(|scope| {
        let take = || {
            let call = call(ACME, 90).with_max_tokens(10);
            let calls = (0..100).filter_map(|_| simulator.begin(&call).ok());
            calls.collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        let held: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        held.len()
    });
    assert_eq!(admitted, 100);
}
