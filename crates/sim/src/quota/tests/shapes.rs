//! What each shape promises, by example.

use super::{
    super::{Limit, Quota, day_limit},
    *,
};
use crate::ModelSettings;

#[test]
fn what_is_not_used_comes_back_at_once() {
    for shape in SHAPES {
        let mut window = window(shape, 10_000);
        let taken = window.take(at(0), 9_000);
        assert_eq!(
            window.room(at(1)),
            if shape == WindowShape::Bucket {
                1_166
            } else {
                1_000
            }
        );
        window.settle(at(1), taken, 1_500);
        assert_eq!(
            window.room(at(1)),
            if shape == WindowShape::Bucket {
                8_666
            } else {
                8_500
            }
        );
    }
}

#[test]
fn what_is_used_beyond_the_reservation_is_debt() {
    for shape in SHAPES {
        let mut window = window(shape, 1_000);
        let taken = window.take(at(0), 1_000);
        window.settle(at(0), taken, 3_500);
        assert_eq!(window.used(at(0)), 3_500, "{shape:?}");
        // A minute later a sliding window has forgotten it; a cycle and a bucket have worked off one limit.
        let left = match shape {
            WindowShape::Sliding => 0,
            WindowShape::Fixed | WindowShape::Bucket => 2_500,
        };
        assert_eq!(window.used(at(60)), left, "{shape:?}");
        assert_eq!(window.used(at(240)), 0, "{shape:?}");
    }
}

#[test]
fn a_sliding_window_forgets_each_event_after_exactly_a_minute() {
    let mut window = window(WindowShape::Sliding, 100);
    window.take(at(0), 60);
    window.take(at(30), 40);
    let just_before = at(60) - Duration::from_nanos(1);
    assert_eq!(window.room(just_before), 0);
    assert_eq!(window.room(at(60)), 60);
    assert_eq!(window.room(at(90)), 100);
}

#[test]
fn a_cycle_admits_two_limits_across_its_edge() {
    let mut window = window(WindowShape::Fixed, 100);
    let early = window.take(at(59), 100);
    assert_eq!(window.room(at(59)), 0);
    assert_eq!(window.room(at(60)), 100);
    window.take(at(60), 100);
    // What was taken in the old cycle is gone with it: giving it back gives the new one nothing.
    window.settle(at(61), early, 0);
    assert_eq!(window.room(at(61)), 0);
}

#[test]
fn a_bucket_refills_to_the_token_and_holds_no_more_than_the_limit() {
    let mut window = window(WindowShape::Bucket, 7);
    window.take(at(0), 7);
    let one_token = MINUTE / 7; // rounded down
    assert_eq!(window.room(one_token), 0);
    assert_eq!(window.room(one_token + Duration::from_nanos(1)), 1);
    assert_eq!(window.room(at(60)), 7);
    assert_eq!(window.room(at(3_600)), 7);
}

#[test]
fn a_window_that_begins_anew_knows_nothing_of_what_was_taken_before() {
    for shape in SHAPES {
        let mut limit = Limit::per(MINUTE, shape);
        limit.set(Some(100), at(0));
        let before = limit.take(at(0), 80);
        limit.reset(at(1));
        limit.take(at(1), 30);
        limit.settle(at(1), before, 10);
        limit.settle(at(1), before, 500);
        assert_eq!(limit.room(at(1)), 70, "{shape:?}");

        // Taken away and set again, likewise.
        let before = limit.take(at(1), 50);
        limit.set(None, at(1));
        assert_eq!(limit.room(at(1)), u64::MAX);
        limit.set(Some(100), at(1));
        limit.settle(at(1), before, 500);
        assert_eq!(limit.room(at(1)), 100, "{shape:?}");
    }
}

#[test]
fn another_limit_keeps_what_is_used() {
    for shape in SHAPES {
        let mut limit = Limit::per(MINUTE, shape);
        limit.set(Some(100), at(0));
        limit.take(at(0), 80);
        limit.set(Some(50), at(0));
        assert_eq!(limit.room(at(0)), 0, "{shape:?}");
        limit.set(Some(1_000), at(0));
        assert_eq!(limit.room(at(0)), 920, "{shape:?}");
    }
}

#[test]
fn huge_amounts_do_not_overflow() {
    for shape in SHAPES {
        let mut window = window(shape, u64::MAX);
        for _ in 0..1_000 {
            let taken = window.take(at(0), u64::MAX);
            window.settle(at(0), taken, u64::MAX);
            let taken = window.take(at(0), 1);
            window.settle(at(0), taken, u64::MAX);
        }
        assert_eq!(window.room(at(1)), 0, "{shape:?}");
        window.used(Duration::MAX);
    }
}

/// All limits give or none does, and the first without room says which it is.
#[test]
fn limits_are_asked_in_order_and_taken_together() {
    let mut quota = Quota::new();
    let mut region_day = day_limit();
    let limits = |requests, tokens, day| ModelSettings {
        requests_per_minute: Some(Some(requests)),
        tokens_per_minute: Some(Some(tokens)),
        tokens_per_day: Some(Some(day)),
        ..ModelSettings::default()
    };
    let cases = [
        (
            limits(0, 0, 0),
            "Too many requests, please wait before trying again.",
        ),
        (
            limits(9, 0, 0),
            "Too many tokens, please wait before trying again.",
        ),
        (
            limits(9, 9, 0),
            "Too many tokens per day, please wait before trying again.",
        ),
    ];
    for (limits, message) in cases {
        quota.set(&limits, at(0));
        let error = quota.reserve(&mut region_day, at(0), 1).unwrap_err();
        assert_eq!(error.message(), message);
        let levels = quota.levels(&mut region_day, at(0));
        let used = [
            levels.requests_per_minute,
            levels.tokens_per_minute,
            levels.tokens_per_day,
        ]
        .map(|level| level.unwrap().used);
        assert_eq!(used, [0, 0, 0]);
    }
    quota.set(&limits(9, 9, 9), at(0));
    region_day.set(Some(5), at(0));
    quota.reserve(&mut region_day, at(0), 5).unwrap();
    let error = quota.reserve(&mut region_day, at(0), 1).unwrap_err();
    assert_eq!(
        error.message(),
        "Too many tokens per day, please wait before trying again."
    );
}
