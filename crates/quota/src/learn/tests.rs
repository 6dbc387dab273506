use super::*;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// A level met at 600 calls a minute, of which one call got through and then nothing for a minute; what it
/// is after that, and after as long a time of calls every two seconds that all succeed.
fn after_a_minute_of_throttles(has_held: bool) -> (f64, f64) {
    let at = |second: u64| Time::from_nanos(second * SECOND);
    let mut learned = Learned::first(600.0, has_held, 1, MINUTE, at(100));
    learned.succeeded(true, 1, at(101));
    for second in 102..160 {
        learned.throttled(learned.level(), 1, at(second), at(second));
    }
    let lowest = learned.level();
    for second in (160..220).step_by(2) {
        learned.succeeded(true, 1, at(second));
    }
    (lowest, learned.level())
}

#[test]
fn a_level_that_had_held_is_soon_looked_for_again() {
    let (lowest, later) = after_a_minute_of_throttles(true);
    assert!(lowest < 31.0, "{lowest}");
    assert!(later > 4.0 * lowest, "{later}");
}

/// The 429 that ends the way back finds a window full, and more come until that has moved on.
#[test]
fn a_level_found_after_a_storm_outlasts_the_429s_that_found_it() {
    let at = |second: u64| Time::from_nanos(second * SECOND);
    let mut learned = Learned::first(600.0, true, 10, MINUTE, at(100));
    for second in 101..160 {
        learned.throttled(learned.level(), 10, at(second), at(second));
    }
    assert!(learned.level() < 31.0, "{}", learned.level());
    for second in 160..200 {
        learned.succeeded(true, 10, at(second));
    }
    for second in 200..206 {
        learned.throttled(learned.level(), 10, at(second), at(second));
    }
    let found = learned.level();
    assert!((400.0..600.0).contains(&found), "{found}");
}

/// They came in a cluster, in which each of them says the same: that the window is full.
#[test]
fn what_a_minute_let_through_outlasts_the_first_429s() {
    let at = |second: u64| Time::from_nanos(second * SECOND);
    let mut learned = Learned::first(900.0, true, 10, MINUTE, at(100));
    learned = learned.after_a_period_of(600.0, at(100));
    for second in 101..159 {
        learned.throttled(learned.level(), 10, at(second), at(second));
    }
    assert!(
        (540.0..600.0).contains(&learned.level()),
        "{}",
        learned.level()
    );
    // After another minute it has been long ago.
    for second in 161..200 {
        learned.throttled(learned.level(), 10, at(second), at(second));
    }
    assert!(learned.level() < 100.0, "{}", learned.level());
}

/// Where forty begin together, the rate at which each meets the limit is far above its part.
#[test]
fn one_that_never_held_is_not() {
    let (lowest, later) = after_a_minute_of_throttles(false);
    assert!(lowest < 31.0, "{lowest}");
    assert!(later < 2.0 * lowest, "{later}");
}
