//! Who goes next, and who gives way where there is no more room.

use std::task::Waker;

use tower_bedrock_core::{Priority, Tenant};

use super::{newcomer, tenant};
use crate::{queue::Queue, time::Time};

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
