//! Alignment to the quota's refresh.

use std::{sync::Arc, time::SystemTime};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Fault, FaultKind, Target};
use tower_bedrock_retry::{FixedCycle, Plan, Policy, QuotaCycle, RetryLayer};

use crate::common::{End, Record, Script, millis, request, request_within, rng, run, secs, target};

fn aligned(cycle: impl QuotaCycle + Send + Sync + 'static) -> Policy {
    Policy::builder().quota_cycle(cycle).build().unwrap()
}

async fn first_delay(policy: Policy, fault: impl Into<Fault>, seed: u64) -> Duration {
    let record = Arc::new(Record::default());
    let layer = RetryLayer::builder(policy)
        .rng(rng(seed))
        .observer(Arc::clone(&record))
        .build();
    run(&layer, &Script::of([fault]), request()).await;
    record.delays()[0]
}

#[tokio::test(start_paused = true)]
async fn a_throttle_waits_for_just_past_the_refresh() {
    for kind in [FaultKind::ThrottledRequests, FaultKind::ThrottledTokens] {
        let mut delays: Vec<_> = Vec::new();
        for seed in 0..50 {
            let cycle = FixedCycle::minute(Instant::now() + secs(20));
            delays.push(first_delay(aligned(cycle), kind, seed).await);
        }
        delays.sort();
        delays.dedup();
        // The jitter stands after the refresh, so callers still come back apart.
        assert_eq!(delays.len(), 50);
        assert!(
            delays[0] >= secs(20) && delays[49] <= secs(21),
            "{delays:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_refresh_is_up_to_a_whole_cycle_away() {
    let delay = first_delay(
        aligned(FixedCycle::minute(Instant::now())),
        FaultKind::ThrottledTokens,
        1,
    );
    let delay = delay.await;
    assert!(delay >= secs(60) && delay <= secs(61), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn other_faults_and_unknown_phases_are_not_aligned() {
    for kind in [
        FaultKind::Throttled,
        FaultKind::Internal,
        FaultKind::Overloaded,
    ] {
        let cycle = FixedCycle::minute(Instant::now() + secs(20));
        assert!(
            first_delay(aligned(cycle), kind, 1).await <= secs(1),
            "{kind}"
        );
    }
    let unknown = aligned(|_: &Target, _: Instant| None);
    assert!(first_delay(unknown, FaultKind::ThrottledTokens, 1).await <= secs(1));
    assert!(first_delay(Policy::default(), FaultKind::ThrottledTokens, 1).await <= secs(1));
}

#[tokio::test(start_paused = true)]
async fn alignment_can_be_turned_off() {
    let plan = Plan::default();
    let schedule = *plan.schedule(FaultKind::ThrottledTokens).unwrap();
    let policy = Policy::builder()
        .plan(plan.with(FaultKind::ThrottledTokens, schedule.with_alignment(false)))
        .quota_cycle(FixedCycle::minute(Instant::now() + secs(20)))
        .build()
        .unwrap();
    assert!(first_delay(policy, FaultKind::ThrottledTokens, 1).await <= secs(1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_refresh_beyond_the_cap() {
    let far = aligned(|_: &Target, _: Instant| Some(Duration::MAX));
    assert!(first_delay(far, FaultKind::ThrottledTokens, 1).await <= secs(1));
}

/// The longer of the two asks.
#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_refresh_holds() {
    let cycle = FixedCycle::minute(Instant::now() + secs(20));
    let fault = Fault::new(FaultKind::ThrottledTokens).with_retry_after(secs(40));
    let delay = first_delay(aligned(cycle), fault, 1).await;
    assert!(delay >= secs(40) && delay <= secs(41), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_beyond_the_deadline_gives_up_at_once() {
    let layer = RetryLayer::new(aligned(FixedCycle::minute(Instant::now() + secs(20))));
    let begun = Instant::now();
    let end = run(
        &layer,
        &Script::of([FaultKind::ThrottledTokens]),
        request_within(secs(15)),
    )
    .await;
    assert!(
        matches!(
            end,
            End::Failed {
                attempts: 1,
                gave_up: Some(_),
                ..
            }
        ),
        "{end:?}"
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[test]
fn a_fixed_cycle_knows_every_refresh() {
    let refresh = Instant::now() + secs(1_000);
    let cycle = FixedCycle::minute(refresh);
    let cases = [
        (refresh, secs(60)),
        (refresh + millis(1), millis(59_999)),
        (refresh + secs(59), secs(1)),
        (refresh + secs(600), secs(60)),
        (refresh - millis(1), millis(1)),
        (refresh - secs(60), secs(60)),
        (refresh - secs(61), secs(1)),
        (refresh - secs(119), secs(59)),
    ];
    for (now, until) in cases {
        assert_eq!(cycle.until_refresh(&target(), now), Some(until));
    }
}

#[test]
fn the_wall_clocks_minute_is_found() {
    let now = Instant::now();
    let time = SystemTime::UNIX_EPOCH + secs(1_700_000_000 / 60 * 60 + 15);
    let cycle = FixedCycle::wall_clock_minute(time, now);
    assert_eq!(cycle.until_refresh(&target(), now), Some(secs(45)));
    assert_eq!(
        cycle.until_refresh(&target(), now + secs(50)),
        Some(secs(55))
    );
}
