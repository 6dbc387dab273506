//! The order of those who wait, against a list that is sorted anew each time; and the bound of the paper.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use tower_bedrock_core::{Priority, Tenant};

use super::*;

const TENANTS: usize = 4;

fn tenant(which: usize) -> Option<Tenant> {
    (which > 0).then(|| Tenant::from(format!("tenant-{which}")))
}

fn newcomer(class: usize, tenant: Option<&Tenant>, weight: u32, tokens: u64) -> Newcomer<'_> {
    Newcomer {
        priority: Priority::ALL[class],
        tenant,
        weight,
        tokens,
        gives_up: None,
    }
}

/// A call in the list.
#[derive(Clone, Copy, Debug)]
struct Listed {
    id: usize,
    class: usize,
    tenant: usize,
    arrival: usize,
    tokens: u64,
}

/// Virtual token counters by the book: of every tenant that ever came, in every class.
#[derive(Default)]
struct Book {
    calls: Vec<Listed>,
    counters: BTreeMap<(usize, usize), u128>,
    last_left: BTreeMap<usize, u128>,
    arrivals: usize,
}

impl Book {
    fn arrive(&mut self, id: usize, class: usize, tenant: usize, tokens: u64) {
        let waits = |tenant| {
            self.calls
                .iter()
                .any(|c| (c.class, c.tenant) == (class, tenant))
        };
        if !waits(tenant) {
            let lowest = (0..TENANTS)
                .filter(|t| waits(*t))
                .map(|t| self.counters[&(class, t)])
                .min();
            let lift = lowest.unwrap_or(self.last_left.get(&class).copied().unwrap_or(0));
            let counter = self.counters.entry((class, tenant)).or_default();
            *counter = (*counter).max(lift);
        }
        self.calls.push(Listed {
            id,
            class,
            tenant,
            arrival: self.arrivals,
            tokens,
        });
        self.arrivals += 1;
    }

    fn head(&self) -> Option<Listed> {
        // Among tenants with equal counters, who has the earliest first call.
        let firsts = self.calls.iter().filter(|call| {
            !self.calls.iter().any(|other| {
                (other.class, other.tenant) == (call.class, call.tenant)
                    && other.arrival < call.arrival
            })
        });
        firsts
            .min_by_key(|call| {
                (
                    call.class,
                    self.counters[&(call.class, call.tenant)],
                    call.arrival,
                )
            })
            .copied()
    }

    /// When a tenant's last call is gone, those who don't wait and are not ahead of a newcomer are forgotten.
    fn leave(&mut self, call: Listed) {
        self.calls.retain(|other| other.id != call.id);
        let waits = |class, tenant| {
            self.calls
                .iter()
                .any(|c| (c.class, c.tenant) == (class, tenant))
        };
        if !waits(call.class, call.tenant) {
            let class = call.class;
            let lowest = (0..TENANTS).filter(|t| waits(class, *t));
            let lift = lowest.map(|t| self.counters[&(class, t)]).min();
            let lift = lift.unwrap_or(self.last_left.get(&class).copied().unwrap_or(0));
            let forget = |of: usize, tenant: usize, counter: u128| {
                of == class && !waits(of, tenant) && counter <= lift
            };
            let forgotten: Vec<_> = self
                .counters
                .iter()
                .filter(|((c, t), n)| forget(*c, *t, **n))
                .map(|(key, _)| *key)
                .collect();
            for key in forgotten {
                self.counters.remove(&key);
            }
        }
    }

    fn serve(&mut self, call: Listed) {
        let counter = self.counters.get_mut(&(call.class, call.tenant)).unwrap();
        *counter += u128::from(call.tokens) << 16;
        let waiting = self
            .calls
            .iter()
            .filter(|c| (c.class, c.tenant) == (call.class, call.tenant));
        if waiting.count() == 1 {
            self.last_left.insert(call.class, *counter);
        }
        self.leave(call);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Arrive {
        class: usize,
        tenant: usize,
        tokens: u64,
    },
    Serve,
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_usize, 0..TENANTS, 1..1_000_u64)
            .prop_map(|(class, tenant, tokens)| Op::Arrive { class, tenant, tokens }),
        3 => Just(Op::Serve),
        1 => any::<usize>().prop_map(Op::Leave),
    ]
}

proptest! {
    #[test]
    fn the_order_is_the_books(ops in prop::collection::vec(op(), 1..200)) {
        let mut queue = Queue::<()>::default();
        let mut book = Book::default();
        for op in ops {
            match op {
                Op::Arrive { class, tenant: which, tokens } => {
                    let tenant = tenant(which);
                    let id = queue.push(newcomer(class, tenant.as_ref(), 1, tokens));
                    book.arrive(id, class, which, tokens);
                }
                Op::Serve => {
                    if let Some(head) = queue.head() {
                        book.serve(book.head().unwrap());
                        queue.serve(head.id, ());
                        prop_assert_eq!(queue.take(head.id), Some(()));
                    }
                }
                Op::Leave(which) if !book.calls.is_empty() => {
                    let which = which % book.calls.len();
                    let call = book.calls[which];
                    book.leave(call);
                    prop_assert_eq!(queue.cancel(call.id), None);
                }
                Op::Leave(_) => {}
            }
            prop_assert_eq!(queue.head().map(|head| head.id), book.head().map(|head| head.id));
            prop_assert_eq!(queue.len(), book.calls.len());
            prop_assert_eq!(queue.is_empty(), book.calls.is_empty());
        }
    }
}

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

#[test]
fn a_large_call_at_the_head_is_not_passed_by() {
    let mut queue = Queue::<()>::default();
    let (large, small) = (tenant(1), tenant(2));
    let first = queue.push(newcomer(1, large.as_ref(), 1, 1_000_000));
    for _ in 0..100 {
        queue.push(newcomer(1, small.as_ref(), 1, 1));
        assert_eq!(queue.head().unwrap().id, first);
    }
}

#[test]
fn where_a_class_is_full_the_longest_queue_gives_way() {
    let mut queue = Queue::<()>::default();
    let (flood, calm) = (tenant(1), tenant(2));
    let mut last = 0;
    for _ in 0..10 {
        last = queue.push(newcomer(1, flood.as_ref(), 1, 1));
    }
    assert_eq!(
        queue.makes_way(newcomer(1, calm.as_ref(), 1, 1)),
        Some(last)
    );
    assert_eq!(queue.makes_way(newcomer(1, flood.as_ref(), 1, 1)), None);
    // Another class has places of its own.
    assert_eq!(queue.waiting_of(Priority::Batch), 0);
    assert_eq!(queue.makes_way(newcomer(2, calm.as_ref(), 1, 1)), None);
}

#[test]
fn nobody_gives_way_to_who_would_wait_with_as_many() {
    let mut queue = Queue::<()>::default();
    let (first, second, newest) = (tenant(1), tenant(2), tenant(3));
    queue.push(newcomer(1, first.as_ref(), 1, 1));
    queue.push(newcomer(1, second.as_ref(), 1, 1));
    assert_eq!(queue.makes_way(newcomer(1, newest.as_ref(), 1, 1)), None);
    let last = queue.push(newcomer(1, first.as_ref(), 1, 1));
    assert_eq!(queue.makes_way(newcomer(1, second.as_ref(), 1, 1)), None);
    let gives_way = queue.makes_way(newcomer(1, newest.as_ref(), 1, 1));
    assert_eq!(gives_way, Some(last));
}

#[test]
fn tenants_that_come_once_are_forgotten() {
    let mut queue = Queue::<()>::default();
    for i in 0..100_000 {
        let tenant = Tenant::from(format!("tenant-{i}"));
        let id = queue.push(newcomer(1, Some(&tenant), 1, 1 + i % 1_000));
        queue.serve(id, ());
        queue.take(id);
    }
    assert!(queue.classes[1].remembered() <= 1_025);
}

#[test]
fn huge_costs_overflow_nothing() {
    let mut queue = Queue::<()>::default();
    let tenant = tenant(1);
    for _ in 0..3 {
        queue.push(newcomer(0, tenant.as_ref(), 1, u64::MAX));
    }
    let ahead = queue.ahead(newcomer(2, tenant.as_ref(), 1, u64::MAX));
    assert_eq!((ahead.calls, ahead.tokens), (3, u64::MAX));
    for _ in 0..3 {
        let head = queue.head().unwrap();
        queue.serve(head.id, ());
        queue.take(head.id);
        queue.correct(Priority::Interactive, tenant.as_ref(), 1, 0, u64::MAX);
    }
    assert!(queue.is_empty());
}

#[test]
fn the_timer_is_kept_by_one_and_handed_on() {
    let mut queue = Queue::<()>::default();
    let waker = Waker::noop();
    let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
    let one = queue.push(newcomer(1, None, 1, 1));
    assert!(queue.polled(one, waker, at(0), at(10)));
    // Another need not keep it, unless it has to ring sooner.
    let two = queue.push(newcomer(1, None, 1, 1));
    assert!(!queue.polled(two, waker, at(0), at(10)));
    assert!(queue.set_timer(at(10)).is_none());
    assert!(queue.polled(two, waker, at(0), at(5)));
    assert!(!queue.polled(one, waker, at(0), at(5)));
    // Who keeps it and goes is followed by the head, who is woken for it, once.
    queue.cancel(two);
    assert!(queue.set_timer(at(10)).is_some());
    assert!(queue.set_timer(at(10)).is_none());
    assert!(queue.polled(one, waker, at(0), at(10)));
    // If the moment comes nearer, whoever keeps it is woken to set it anew, once.
    assert!(queue.set_timer(at(3)).is_some());
    assert!(queue.set_timer(at(3)).is_none());
    // A third who happens to be polled meanwhile takes it over ...
    let three = queue.push(newcomer(1, None, 1, 1));
    assert!(queue.polled(three, waker, at(0), at(3)));
    // ... as does one who comes after it rang for a keeper that did not.
    assert!(queue.polled(one, waker, at(4), at(6)));
    // Nobody waits, nobody keeps it.
    queue.cancel(one);
    queue.cancel(three);
    assert!(queue.set_timer(at(9)).is_none());
}
