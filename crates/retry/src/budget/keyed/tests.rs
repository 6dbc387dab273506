use super::*;

fn target(n: usize) -> Target {
    Target::parse("us-east-1", &format!("acme.model-{n}")).unwrap()
}

fn budgets(burst: u32, percent: u32, max_targets: usize) -> Budgets {
    let budget = Budget::builder().burst(burst).percent(percent);
    let budget = budget.floor_per_second(0.0).max_targets(max_targets);
    Budgets::new(&budget.build().unwrap())
}

fn kept(budgets: &Budgets) -> usize {
    let kept = budgets.buckets.read().by_target.len();
    assert_eq!(budgets.kept.load(Ordering::Relaxed), kept);
    kept
}

#[test]
fn only_targets_short_of_tokens_are_kept() {
    let budgets = budgets(2, 50, 10);
    let now = Instant::now();
    budgets.call_answered(&target(0));
    assert_eq!(kept(&budgets), 0);

    budgets.withdraw(&target(1), now).unwrap().spend();
    let mut withdrawal = budgets.withdraw(&target(2), now).unwrap();
    withdrawal.spend();
    assert_eq!(kept(&budgets), 2);
    budgets.call_answered(&target(2));
    assert_eq!(kept(&budgets), 2);
    budgets.call_answered(&target(2));
    assert_eq!(kept(&budgets), 1);
    // The bucket it came from is forgotten, and the new one is full already.
    withdrawal.give_back();
    assert_eq!(budgets.left(&target(2), now), 2);
}

#[test]
fn the_targets_without_a_place_share_a_bucket() {
    let budgets = budgets(2, 0, 3);
    let now = Instant::now();
    let mut taken = 0;
    for _ in 0..5 {
        for n in 0..10 {
            if let Some(mut withdrawal) = budgets.withdraw(&target(n), now) {
                withdrawal.spend();
                taken += 1;
            }
        }
    }
    assert_eq!(taken, 2 * (3 + 1));
    assert_eq!(budgets.left(&target(9), now), 0);
    assert_eq!(kept(&budgets), 3);
}

#[test]
fn targets_that_recovered_make_room() {
    let budgets = budgets(2, 0, 1);
    let now = Instant::now();
    drop(budgets.withdraw(&target(0), now));
    let later = now + Duration::from_secs(1);
    budgets.withdraw(&target(1), later).unwrap().spend();
    assert_eq!(budgets.left(&target(1), later), 1);
    assert!(budgets.shared.is_full(later));
}

/// A token may be taken between an answer that fills the bucket and the moment the bucket is forgotten.
#[test]
fn no_withdrawal_is_forgotten() {
    let budgets = budgets(1, 0, 10);
    let now = Instant::now();
    budgets.withdraw(&target(0), now).unwrap().spend();
    budgets.forget(&target(0), now);
    assert_eq!(budgets.left(&target(0), now), 0);
}
