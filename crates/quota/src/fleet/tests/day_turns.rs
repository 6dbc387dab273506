//! What a process tells of the calls that wait for a Region's day.

use std::sync::{Arc, Mutex};

use tokio::time::{Duration, sleep};
use tower_bedrock_core::{Context, Demand, Target};

use crate::{
    Exhausted, LimitTable, Limiter, Limits, QuotaPattern, Reservation,
    day::Part,
    fleet::{Answering, DayAward, Fleet, MemoryStore, Renewal, Store},
    time::Time,
};

/// The store, and what it was told last of the day.
#[derive(Clone)]
struct Told(MemoryStore, Arc<Mutex<Option<Renewal>>>);

impl Store for Told {
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a> {
        if renewal.day.is_some() {
            *self.1.lock().unwrap() = Some(renewal.clone());
        }
        self.0.renew(key, renewal)
    }
}

fn process(store: impl Store) -> Limiter {
    let (fleet, worker) = Fleet::builder(store).build().unwrap();
    let limits = Limits::new().with_tokens_per_minute(1_000_000);
    let table = LimitTable::new().with(QuotaPattern::any(), limits);
    let limiter = Limiter::builder()
        .limits(table.with_tokens_per_day("*", 20_000))
        .fleet(fleet)
        .build()
        .unwrap();
    tokio::spawn(worker.run());
    limiter
}

async fn reserve(limiter: Limiter, model: &str, tokens: u64) -> Result<Reservation, Exhausted> {
    let target = Target::parse("us-east-1", model).unwrap();
    let demand = Demand::new(tokens).with_max_output_tokens(0);
    limiter.reserve(&target, &demand, &Context::new()).await
}

/// Calls of another model that pass in between are nothing that it has had.
#[tokio::test(start_paused = true)]
async fn the_call_that_has_waited_longest_is_told_of_whatever_passes() {
    let store = MemoryStore::new();
    let told = Arc::default();
    let other = process(store.clone());
    let limiter = process(Told(store, Arc::clone(&told)));
    let _held = reserve(other, "acme.small-1", 15_000).await.unwrap();
    let waits = tokio::spawn(reserve(limiter.clone(), "acme.large-1", 7_000));
    for _ in 0..200 {
        sleep(Duration::from_millis(100)).await;
        let passes = reserve(limiter.clone(), "acme.small-1", 10);
        passes.await.unwrap().refund();
    }
    assert!(!waits.is_finished());
    let renewal = told.lock().unwrap().clone().unwrap();
    assert_eq!(renewal.day.unwrap().need, 7_000);
    assert!(renewal.waited > 5_000, "{}", renewal.waited);
}

#[tokio::test(start_paused = true)]
async fn of_the_calls_of_all_models_the_one_that_has_waited_longest_goes_next() {
    let store = MemoryStore::new();
    let told = Arc::default();
    let other = process(store.clone());
    let limiter = process(Told(store, Arc::clone(&told)));
    let _held = reserve(other, "acme.small-1", 15_000).await.unwrap();
    let mut waiting = Vec::new();
    for (model, tokens) in [
        ("acme.small-1", 6_000),
        ("acme.large-1", 7_000),
        ("acme.small-1", 6_500),
    ] {
        waiting.push(tokio::spawn(reserve(limiter.clone(), model, tokens)));
        sleep(Duration::from_secs(1)).await;
    }
    let need = || told.lock().unwrap().as_ref().unwrap().day.unwrap().need;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(need(), 6_000);
    waiting[0].abort();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(need(), 7_000);
    assert!(!waiting[1].is_finished() && !waiting[2].is_finished());
}

/// Or the next renewal would take the slice back that the first was given, before whoever was told to come back can.
#[test]
fn what_there_is_room_for_by_now_is_not_asked_for_again() {
    let now = Time::from_nanos(1);
    let mut part = Part::new(20_000, 1, 0, now);
    part.missed(1_000);
    let claim = part.claim(0);
    part.missed(1_000);
    let mut award = DayAward::default();
    part.answered(&claim, &award, 1, now, Some(now.plus(1_000)));
    assert!(part.is_hungry());
    award.holds = 1_000;
    part.answered(&claim, &award, 1, now, Some(now.plus(1_000)));
    assert!(!part.is_hungry());
}
