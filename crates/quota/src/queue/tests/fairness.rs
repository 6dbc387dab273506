//! The bound of the paper.

use std::collections::{BTreeMap, VecDeque};

use tower_bedrock_core::Priority;

use super::{newcomer, tenant};
use crate::queue::Queue;

/// Serves from a queue in which both tenants always have `backlog` calls, with at most `in_service` calls
/// in service; what a call costs in the end is `cost` of what it reserved. Answers, after each call that
/// ends, the tokens each tenant has been served, and the paper's bound.
fn contend(
    weights: [u32; 2],
    backlog: usize,
    in_service: usize,
    cost: impl Fn(u64) -> u64,
) -> (Vec<[u64; 2]>, u64) {
    let mut queue = Queue::<()>::default();
    let mut random = 7_u64;
    let mut draw = move |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    let names = [tenant(1), tenant(2)];
    let mut owners = BTreeMap::new();
    let mut running = VecDeque::new();
    let mut served = [0; 2];
    let mut history = Vec::new();
    let (mut largest, mut most_reserved) = (0, 0);
    let mut waiting = [0; 2];
    for _ in 0..10_000 {
        while running.len() < in_service {
            for who in 0..2 {
                while waiting[who] < backlog {
                    waiting[who] += 1;
                    // The second tenant's calls are larger.
                    let tokens = 1 + draw(200 * (1 + 4 * who as u64));
                    largest = tokens.max(cost(tokens)).max(largest);
                    let id = queue.push(newcomer(1, names[who].as_ref(), weights[who], tokens));
                    owners.insert(id, (who, tokens));
                }
            }
            let head = queue.head().unwrap();
            queue.serve(head.id, ());
            queue.take(head.id);
            let (who, tokens) = owners.remove(&head.id).unwrap();
            waiting[who] -= 1;
            running.push_back((who, tokens));
        }
        let reserved = running
            .iter()
            .map(|(_, tokens)| cost(*tokens).max(*tokens))
            .sum();
        most_reserved = most_reserved.max(reserved);
        let (who, tokens) = running.remove(draw(running.len() as u64) as usize).unwrap();
        served[who] += cost(tokens);
        let (whose, cost) = (names[who].as_ref(), cost(tokens));
        queue.correct(Priority::Normal, whose, weights[who], tokens, cost);
        history.push(served);
    }
    (history, 2 * largest.max(most_reserved))
}

#[test]
fn two_who_always_wait_are_served_alike_within_the_papers_bound() {
    let costs: [fn(u64) -> u64; 3] = [|t| t, |t| t / 10, |t| t * 3];
    for cost in costs {
        for in_service in [1, 5, 50] {
            let (history, bound) = contend([1, 1], 5, in_service, cost);
            let gaps = history.iter().map(|[a, b]| *a as i64 - *b as i64);
            let (least, most) =
                gaps.fold((0, 0), |(least, most), gap| (least.min(gap), most.max(gap)));
            assert!((most - least) as u64 <= bound, "{} > {bound}", most - least);
        }
    }
}

#[test]
fn a_flood_does_not_buy_more() {
    // One tenant has a hundred times as many calls waiting as the other.
    let mut queue = Queue::<()>::default();
    let (flood, calm) = (tenant(1), tenant(2));
    for _ in 0..1_000 {
        queue.push(newcomer(1, flood.as_ref(), 1, 100));
    }
    let mut served = [0; 2];
    let mut calm_id = queue.push(newcomer(1, calm.as_ref(), 1, 100));
    for _ in 0..500 {
        let head = queue.head().unwrap();
        queue.serve(head.id, ());
        queue.take(head.id);
        if head.id == calm_id {
            served[1] += 1;
            calm_id = queue.push(newcomer(1, calm.as_ref(), 1, 100));
        } else {
            served[0] += 1;
        }
    }
    assert_eq!(served, [250, 250]);
}

#[test]
fn weights_divide_the_service() {
    let (history, _) = contend([3, 1], 5, 5, |tokens| tokens);
    let [a, b] = history[history.len() - 1];
    let ratio = a as f64 / b as f64;
    assert!((2.9..3.1).contains(&ratio), "{ratio}");
}

#[test]
fn another_weight_counts_from_the_next_call_on() {
    let mut queue = Queue::<()>::default();
    let names = [tenant(1), tenant(2)];
    let mut whose = BTreeMap::new();
    for (who, name) in names.iter().enumerate() {
        whose.insert(queue.push(newcomer(1, name.as_ref(), 1, 100)), who);
    }
    for (weights, expected) in [([1, 1], 0.5), ([3, 1], 0.75), ([1, 4], 0.2)] {
        let mut served = 0;
        for _ in 0..1_000 {
            let head = queue.head().unwrap().id;
            let who = whose.remove(&head).unwrap();
            served += u32::from(who == 0);
            // Whoever is served has its next call waiting already.
            let next = queue.push(newcomer(1, names[who].as_ref(), weights[who], 100));
            whose.insert(next, who);
            queue.serve(head, ());
            queue.take(head);
        }
        let share = f64::from(served) / 1_000.0;
        assert!((share - expected).abs() < 0.01, "{weights:?}: {share}");
    }
}

#[test]
fn a_call_is_corrected_by_the_weight_it_was_charged_by() {
    let mut queue = Queue::<()>::default();
    let names = [tenant(1), tenant(2)];
    let who_is_next = |queue: &mut Queue<()>, weight: u32| {
        let ids = [0, 1].map(|who| {
            let weight = if who == 0 { weight } else { 1 };
            queue.push(newcomer(1, names[who].as_ref(), weight, 100))
        });
        let head = queue.head().unwrap().id;
        for id in ids {
            queue.serve(id, ());
            queue.take(id);
        }
        ids.iter().position(|id| *id == head).unwrap()
    };
    // Charged a hundredth, and the weight is another when it turns out to have cost nothing.
    assert_eq!(who_is_next(&mut queue, 100), 0);
    let first = names[0].as_ref();
    queue.correct(Priority::Normal, first, 100, 100, 0);
    queue.correct(Priority::Normal, names[1].as_ref(), 1, 100, 0);
    for _ in 0..3 {
        queue.push(newcomer(1, first, 1, 100));
        let before = queue.ahead(newcomer(1, first, 1, 100));
        assert!(queue.ahead(newcomer(1, first, 100, 100)).tokens <= before.tokens);
    }
}
