use std::{
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use proptest::prelude::*;

use super::*;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn withdrawals(bucket: &Bucket, now: Instant) -> u32 {
    (0..).take_while(|_| bucket.withdraw(now)).count() as u32
}

#[test]
fn a_burst_and_no_more() {
    let now = Instant::now();
    let bucket = Bucket::new(Rates::new(3, 20, None), now);
    assert!(bucket.is_full(now));
    assert_eq!(bucket.left(now), 3);
    assert_eq!(withdrawals(&bucket, now), 3);
    assert_eq!(bucket.left(now), 0);
    assert_eq!(withdrawals(&bucket, now + secs(1_000_000)), 0);
}

#[test]
fn the_floor_flows_in_up_to_a_full_bucket() {
    let now = Instant::now();
    let bucket = Bucket::new(Rates::new(3, 20, Some(secs(10))), now);
    withdrawals(&bucket, now);
    assert_eq!(withdrawals(&bucket, now + Duration::from_millis(9_999)), 0);
    assert_eq!(withdrawals(&bucket, now + secs(10)), 1);
    assert_eq!(withdrawals(&bucket, now + secs(29)), 1);
    assert_eq!(withdrawals(&bucket, now + secs(10_000_000_000)), 3);
}

/// tower's budget truncates: 30% is 33%, 70% is 100%.
#[test]
fn every_percentage_is_exact() {
    let now = Instant::now();
    for percent in [0, 1, 7, 20, 30, 33, 70, 99, 100, 101, 150, 1_000] {
        let bucket = Bucket::new(Rates::new(100_000, percent, None), now);
        withdrawals(&bucket, now);
        for _ in 0..1_000 {
            bucket.call_answered(now);
        }
        assert_eq!(withdrawals(&bucket, now), percent * 10, "{percent}%");
    }
}

/// A thread with an older clock neither adds to the balance nor takes from it.
#[test]
fn clocks_that_disagree_do_no_harm() {
    let now = Instant::now();
    let bucket = Bucket::new(Rates::new(2, 100, Some(secs(10))), now);
    assert!(bucket.withdraw(now + secs(100)));
    assert!(!bucket.withdraw(now));
    bucket.call_answered(now);
    assert_eq!(bucket.left(now + secs(100)), 2);
}

/// The loom test, as far as real threads can show it.
#[test]
fn threads_never_take_more_than_there_is() {
    let now = Instant::now();
    let bucket = Bucket::new(Rates::new(1_000, 20, None), now);
    let (taken, start) = (AtomicU32::new(0), Barrier::new(4));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..1_000 {
                    taken.fetch_add(u32::from(bucket.withdraw(now)), Ordering::Relaxed);
                    bucket.call_answered(now);
                }
            });
        }
    });
    // 4,000 tries; 1,000 tokens there and 800 brought. A deposit into a full bucket is lost.
    let taken = taken.load(Ordering::Relaxed);
    let found = taken + bucket.left(now);
    assert!(
        (1_000..=1_800).contains(&found) && taken >= 1_000,
        "{taken} {found}"
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Withdraw,
    GiveBack,
    Answered,
}

proptest! {
    /// Against a bucket as one would write it without threads: a balance, and the time it was last
    /// looked at.
    #[test]
    fn does_as_a_plain_token_bucket_does(
        burst in 1..20_u32,
        percent in 0..300_u32,
        every in proptest::option::of(1..50_u64),
        steps in proptest::collection::vec(
            prop_oneof![
                (0..30_u64).prop_map(Step::Wait),
                Just(Step::Withdraw),
                Just(Step::GiveBack),
                Just(Step::Answered),
            ],
            0..200,
        ),
    ) {
        let mut now = Instant::now();
        let bucket = Bucket::new(Rates::new(burst, percent, every.map(secs)), now);
        // In hundredths of a token times the seconds one takes: whole numbers all the way.
        let scale = every.unwrap_or(1);
        let full = u64::from(burst) * 100 * scale;
        let mut balance = full;
        for step in steps {
            match step {
                Step::Wait(time) => {
                    now += secs(time);
                    balance += if every.is_some() { time * 100 } else { 0 };
                }
                Step::Withdraw => {
                    let enough = balance >= 100 * scale;
                    prop_assert_eq!(bucket.withdraw(now), enough);
                    balance -= if enough { 100 * scale } else { 0 };
                }
                Step::GiveBack => {
                    bucket.give_back(now);
                    balance += 100 * scale;
                }
                Step::Answered => {
                    bucket.call_answered(now);
                    balance += u64::from(percent) * scale;
                }
            }
            balance = balance.min(full);
            prop_assert_eq!(bucket.is_full(now), balance == full);
            prop_assert_eq!(u64::from(bucket.left(now)), balance / (100 * scale));
        }
    }
}
