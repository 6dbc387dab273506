//! Who gets how much of one limit.

/// What one member wants of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// What it would have use for in a window.
    pub(crate) demand: u64,
    /// What its next call needs.
    pub(crate) need: u64,
    /// Since when that call waits.
    pub(crate) since: u64,
}

/// What each member is to have of `capacity`:
///
/// - as much as the next, but no more than it has use for (max-min fairness);
/// - where that is too little for a member's next call, what that call needs or nothing, in the order in
///   which those calls came. Together they get no more than their fair shares come to, but the first of
///   them gets what it needs: no call below the limit waits for ever;
/// - of what is left, each the same part, and one such part stays free for who comes next.
pub(crate) fn divide(capacity: u64, wants: &[Want]) -> Vec<u64> {
    let mut others: Vec<usize> = (0..wants.len()).collect();
    let mut stuck = Vec::new();
    let mut fair = vec![0; wants.len()];
    fill(capacity, wants, &others, &mut fair);

    let mut shares = fair.clone();
    loop {
        let is_stuck = |i: &usize| wants[*i].need > shares[*i];
        let (too_little, enough): (Vec<usize>, Vec<usize>) =
            others.iter().partition(|i| is_stuck(i));
        if too_little.is_empty() {
            break;
        }
        others = enough;
        stuck.extend(too_little);
        stuck.sort_by_key(|i| (wants[*i].since, *i));
        let entitled: u64 = stuck.iter().map(|i| fair[*i]).sum();
        // One that can never have all it needs has all there is.
        let need = |i: usize| wants[i].need.min(capacity);
        let pool = entitled.max(stuck.first().map_or(0, |first| need(*first)));
        let left = in_turn(pool, &stuck, need, &mut shares);
        fill(capacity - pool + left, wants, &others, &mut shares);
    }

    let spare = capacity - shares.iter().sum::<u64>();
    let part = spare / (wants.len() as u64 + 1);
    for share in &mut shares {
        *share += part;
    }
    shares
}

/// Gives each what it needs, until one needs more than is left, and answers what is left.
fn in_turn(pool: u64, who: &[usize], need: impl Fn(usize) -> u64, shares: &mut [u64]) -> u64 {
    let mut left = pool;
    let mut blocked = false;
    for i in who {
        blocked |= need(*i) > left;
        shares[*i] = if blocked { 0 } else { need(*i) };
        left -= shares[*i];
    }
    left
}

/// Gives some of the members as much as the next, but no more than they have use for.
fn fill(capacity: u64, wants: &[Want], who: &[usize], shares: &mut [u64]) {
    let demand = |i: usize| wants[i].demand.max(wants[i].need);
    let mut order = who.to_vec();
    order.sort_by_key(|i| (demand(*i), *i));
    let mut left = capacity;
    let mut count = order.len() as u64;
    for i in order {
        shares[i] = demand(i).min(left / count);
        left -= shares[i];
        count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn small(demands: &[u64]) -> Vec<Want> {
        let want = |demand: &u64| Want {
            demand: *demand,
            ..Want::default()
        };
        demands.iter().map(want).collect()
    }

    fn large(need: u64, since: u64) -> Want {
        Want {
            demand: need,
            need,
            since,
        }
    }

    #[test]
    fn who_wants_little_gets_it_and_the_others_share_the_rest() {
        assert_eq!(divide(100, &small(&[10, 500, 500])), [10, 45, 45]);
        assert_eq!(divide(100, &small(&[500, 500, 500, 500])), [25; 4]);
    }

    #[test]
    fn what_nobody_wants_is_shared_and_a_part_stays_free() {
        assert_eq!(divide(100, &small(&[10])), [55]);
        assert_eq!(divide(100, &small(&[0, 40])), [20, 60]);
    }

    #[test]
    fn the_oldest_large_call_gets_what_it_needs() {
        let wants = [large(60, 7), large(60, 5), small(&[500])[0]];
        assert_eq!(divide(100, &wants), [0, 60, 40]);
        // More than two fair shares is still what it needs.
        let wants = [large(90, 7), large(90, 5), small(&[500])[0]];
        assert_eq!(divide(100, &wants), [0, 90, 10]);
    }

    #[test]
    fn large_calls_together_use_their_fair_shares() {
        let wants: Vec<Want> = (0..16).map(|i| large(10, i)).collect();
        let shares = divide(100, &wants);
        assert_eq!(shares[..10], [10; 10]);
        assert_eq!(shares[10..], [0; 6]);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_and_nobody_is_forgotten(
            capacity in 0..2_000_u64,
            wants in proptest::collection::vec((0..900_u64, 0..1_500_u64, 0..5_u64), 1..9),
        ) {
            let wants: Vec<Want> = wants
                .into_iter()
                .map(|(demand, need, since)| Want { demand, need: need.saturating_sub(600), since })
                .collect();
            let shares = divide(capacity, &wants);
            prop_assert!(shares.iter().sum::<u64>() <= capacity);
            let stuck = |i: &usize| shares[*i] < wants[*i].need.min(capacity);
            let oldest = |i: &usize| (wants[*i].since, *i);
            let all = 0..wants.len();
            if let Some(waiting) = all.clone().filter(stuck).min_by_key(oldest) {
                // Somebody else, who came earlier, has what it needs in its stead.
                let mut earlier = all.filter(|i| !stuck(i) && wants[*i].need > 0);
                prop_assert!(
                    earlier.any(|i| oldest(&i) < oldest(&waiting)),
                    "{waiting} came first: {shares:?}"
                );
            }
        }
    }
}
