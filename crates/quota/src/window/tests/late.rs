//! Uses that the service hears of later than of the next one.

use super::*;

/// Uses let through by one tally that come to another, of the same shape, up to `late` later: how many it has
/// no room for.
fn overfills(window: Window, allowed: u64, late: u64) -> usize {
    let mut draw = numbers();
    let mut mirror = Tally::new(window, PERIOD, allowed);
    let mut arrivals = Vec::new();
    let mut now = Time::ZERO;
    for _ in 0..5_000 {
        // Now and then all is quiet, and what follows finds it empty.
        let pause = if draw(100) == 0 { 2 * PERIOD } else { 0 };
        now = now.plus(pause + draw(PERIOD / 100));
        let amount = draw(LIMIT / 10);
        mirror.advance(now, LIMIT);
        now = mirror.ready_at(now, amount, LIMIT);
        mirror.advance(now, LIMIT);
        assert!(mirror.fits(amount, LIMIT), "{window:?}");
        mirror.charge(now, amount, LIMIT);
        arrivals.push((now.plus(draw(late + 1)), amount));
    }
    arrivals.sort_unstable();
    let within = |from: usize, until: Time| {
        let past = arrivals[..=from].iter().rev();
        let inside = past.take_while(|(at, _)| at.plus(PERIOD) > until);
        inside.map(|(_, amount)| amount).sum::<u64>()
    };
    let mut bucket = Bucket::new(PERIOD, 0);
    let overfills = arrivals.iter().enumerate().filter(|(i, (at, amount))| {
        if window == Window::Sliding {
            return within(*i, *at) > LIMIT;
        }
        bucket.advance(*at, LIMIT);
        let fits = bucket.fits(*amount, LIMIT);
        if fits {
            bucket.charge(*at, *amount, LIMIT);
        }
        !fits
    });
    overfills.count()
}

#[test]
fn what_arrives_late_overfills_nothing_where_that_is_allowed_for() {
    const LATE: u64 = PERIOD / 240;
    for window in [Window::Sliding, Window::Bucket] {
        assert_eq!(overfills(window, 0, 0), 0, "{window:?}");
        assert!(overfills(window, 0, LATE) > 10, "{window:?}");
        assert_eq!(overfills(window, LATE, LATE), 0, "{window:?}");
    }
}

/// What a delay costs a bucket is patience after a pause, and nothing while it is in use.
#[test]
fn a_bucket_in_use_drains_no_slower_for_what_may_come_late() {
    let mut tally = Bucket::new(PERIOD, PERIOD / 240);
    let mut let_through = 0;
    for step in 0..60 * 1_000 {
        let now = Time::from_nanos(step * PERIOD / 1_000);
        tally.advance(now, LIMIT);
        while tally.fits(7, LIMIT) {
            tally.charge(now, 7, LIMIT);
            let_through += 7;
        }
    }
    assert!(let_through >= 61 * LIMIT - LIMIT / 60, "{let_through}");
}
