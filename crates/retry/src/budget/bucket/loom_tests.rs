//! Every interleaving: `RUSTFLAGS="--cfg loom" cargo test -p tower-bedrock-retry --lib`.

use loom::{sync::Arc, thread};

use super::*;

fn bucket(burst: u32) -> Arc<Bucket> {
    Arc::new(Bucket::new(Rates::new(burst, 100, None), Instant::now()))
}

/// tower's budget reads the balance and then subtracts: both threads would find the last token.
#[test]
fn the_last_token_is_taken_once() {
    loom::model(|| {
        let bucket = bucket(1);
        let now = bucket.created;
        let others: Vec<_> = (0..2)
            .map(|_| {
                let bucket = Arc::clone(&bucket);
                thread::spawn(move || u32::from(bucket.withdraw(now)))
            })
            .collect();
        let taken: u32 = others.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(taken, 1);
        assert_eq!(bucket.left(now), 0);
    });
}

#[test]
fn no_deposit_and_no_withdrawal_is_lost() {
    loom::model(|| {
        let bucket = bucket(3);
        let now = bucket.created;
        assert!(bucket.withdraw(now) && bucket.withdraw(now));
        let depositor = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || {
                bucket.call_answered(now);
                bucket.give_back(now);
            })
        };
        let withdrawer = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || u32::from(bucket.withdraw(now)) + u32::from(bucket.withdraw(now)))
        };
        depositor.join().unwrap();
        let taken = withdrawer.join().unwrap();
        // One was left and two were brought; the bucket is never so full that one is lost.
        assert_eq!(taken + bucket.left(now), 3);
        assert!(taken >= 1);
    });
}

#[test]
fn a_full_bucket_holds_no_more() {
    loom::model(|| {
        let bucket = bucket(1);
        let now = bucket.created;
        let depositor = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || bucket.give_back(now))
        };
        let taken = u32::from(bucket.withdraw(now));
        depositor.join().unwrap();
        assert_eq!(taken, 1);
        // Before the withdrawal the deposit is lost, after it it counts.
        assert!(bucket.left(now) <= 1);
    });
}
