//! Who gets how much of one limit.

/// As many classes as there are [priorities](tower_bedrock_core::Priority).
pub(crate) const CLASSES: u64 = 3;

/// What one member wants of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// How urgent its work is: 0 is the most.
    pub(crate) class: u64,
    /// What it would have use for in a window.
    pub(crate) demand: u64,
    /// What its next call needs.
    pub(crate) need: u64,
    /// Since when that call waits.
    pub(crate) since: u64,
}

/// What each member is to have of `capacity`: first what those have use for whose work is the most urgent, then, of what
/// they leave, the next. Of that they keep a quarter, for what comes next of their work should not have to wait until
/// less urgent work has given way. Of what nobody has use for, each has the same part, and one such part stays free for
/// who comes next.
pub(crate) fn divide(capacity: u64, wants: &[Want]) -> Vec<u64> {
    let mut shares = vec![0; wants.len()];
    let mut left = capacity;
    for class in 0..CLASSES {
        let peers = (0..wants.len()).filter(|i| wants[*i].class == class);
        let peers: Vec<usize> = peers.collect();
        among(left, wants, &peers, &mut shares);
        left -= peers.iter().map(|i| shares[*i]).sum::<u64>();
        if wants.iter().any(|want| want.class > class) {
            let kept = left / 4 / (peers.len() as u64).max(1);
            peers.iter().for_each(|i| shares[*i] += kept);
            left -= kept * peers.len() as u64;
        }
    }
    let part = left / (wants.len() as u64 + 1);
    for share in &mut shares {
        *share += part;
    }
    shares
}

/// Gives members of one class
///
/// - as much as the next, but no more than they have use for (max-min fairness);
/// - where that is too little for a member's next call, what that call needs or nothing, in the order in
///   which those calls came. Together they get no more than their fair shares come to, but the first of
///   them gets what it needs: no call below the limit waits for ever.
fn among(capacity: u64, wants: &[Want], who: &[usize], shares: &mut [u64]) {
    let (mut others, mut stuck) = (who.to_vec(), Vec::new());
    fill(capacity, wants, &others, shares);
    let fair = shares.to_vec();
    loop {
        let is_stuck = |i: &usize| wants[*i].need > shares[*i];
        let (too_little, enough): (Vec<usize>, Vec<usize>) =
            others.iter().partition(|i| is_stuck(i));
        if too_little.is_empty() {
            return;
        }
        others = enough;
        stuck.extend(too_little);
        stuck.sort_by_key(|i| (wants[*i].since, *i));
        let entitled: u64 = stuck.iter().map(|i| fair[*i]).sum();
        // One that can never have all it needs has all there is.
        let need = |i: usize| wants[i].need.min(capacity);
        let pool = entitled.max(stuck.first().map_or(0, |first| need(*first)));
        let left = in_turn(pool, &stuck, need, shares);
        fill(capacity - pool + left, wants, &others, shares);
    }
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
            ..Want::default()
        }
    }

    fn of_class(class: u64, want: Want) -> Want {
        Want { class, ..want }
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

    #[test]
    fn who_is_urgent_comes_first_and_the_others_have_what_is_left() {
        let batch = of_class(2, small(&[500])[0]);
        let wants = [batch, small(&[60])[0], batch];
        // They keep a quarter of it.
        assert_eq!(divide(100, &wants), [15, 70, 15]);
        let wants = [batch, small(&[500])[0], batch];
        assert_eq!(divide(100, &wants), [0, 100, 0]);
        // Not even for a call that has waited longer.
        let wants = [of_class(2, large(60, 1)), small(&[50])[0]];
        assert_eq!(divide(100, &wants), [38, 62]);
        // Nobody is left out where nobody has use for it.
        let wants = [of_class(2, small(&[0])[0]), small(&[40])[0]];
        assert_eq!(divide(100, &wants), [15, 70]);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_and_nobody_is_forgotten(
            capacity in 0..2_000_u64,
            wants in proptest::collection::vec((0..900_u64, 0..1_500_u64, 0..5_u64, 0..CLASSES), 1..9),
        ) {
            let wants: Vec<Want> = wants
                .into_iter()
                .map(|(demand, need, since, class)| Want { class, demand, need: need.saturating_sub(600), since })
                .collect();
            let shares = divide(capacity, &wants);
            prop_assert!(shares.iter().sum::<u64>() <= capacity);
            let stuck = |i: &usize| shares[*i] < wants[*i].need.min(capacity);
            let oldest = |i: &usize| (wants[*i].class, wants[*i].since, *i);
            let all = 0..wants.len();
            if let Some(waiting) = all.clone().filter(stuck).min_by_key(oldest) {
                // Somebody else, who came earlier, has what it needs in its stead.
                let mut earlier = all.clone().filter(|i| !stuck(i) && wants[*i].need > 0);
                let urgent = all.filter(|i| wants[*i].class < wants[waiting].class);
                let urgent: u64 = urgent.map(|i| shares[i]).sum();
                prop_assert!(
                    urgent > 0 || earlier.any(|i| oldest(&i) < oldest(&waiting)),
                    "{waiting} came first: {shares:?}"
                );
            }
        }
    }
}
