//! The delays: where they lie, how they are spread, and what they never exceed.

use proptest::prelude::*;
use tokio::time::Duration;
use tower_bedrock_retry::{Backoff, Jitter};

use crate::common::{Always, millis, rng, secs};

const JITTERS: [Jitter; 5] = [
    Jitter::Full,
    Jitter::Equal,
    Jitter::Decorrelated,
    Jitter::Additive,
    Jitter::None,
];

/// The lowest and the highest delay there can be.
fn range(backoff: Backoff, retry: u32, previous: Option<Duration>) -> (Duration, Duration) {
    (
        backoff.delay(retry, previous, &mut Always(0)),
        backoff.delay(retry, previous, &mut Always(u64::MAX)),
    )
}

#[test]
fn each_jitter_has_its_range() {
    let backoff = Backoff::new(secs(1), secs(60)).unwrap();
    // Jitter, retry, and the range in milliseconds.
    let cases = [
        (Jitter::Full, 0, (0, 1_000)),
        (Jitter::Full, 3, (0, 8_000)),
        (Jitter::Full, 6, (0, 60_000)),
        (Jitter::Equal, 0, (500, 1_000)),
        (Jitter::Equal, 3, (4_000, 8_000)),
        (Jitter::Equal, 9, (30_000, 60_000)),
        (Jitter::Additive, 0, (1_000, 1_100)),
        (Jitter::Additive, 3, (8_000, 8_800)),
        (Jitter::None, 0, (1_000, 1_000)),
        (Jitter::None, 5, (32_000, 32_000)),
        (Jitter::None, 6, (60_000, 60_000)),
        (Jitter::None, u32::MAX, (60_000, 60_000)),
    ];
    for (jitter, retry, (low, high)) in cases {
        let found = range(backoff.with_jitter(jitter), retry, None);
        assert_eq!(found, (millis(low), millis(high)), "{jitter:?} at {retry}");
    }
}

#[test]
fn decorrelated_jitter_goes_by_the_delay_before() {
    let backoff = Backoff::new(secs(1), secs(60))
        .unwrap()
        .with_jitter(Jitter::Decorrelated);
    assert_eq!(range(backoff, 0, None), (secs(1), secs(3)));
    assert_eq!(range(backoff, 7, Some(secs(5))), (secs(1), secs(15)));
    assert_eq!(range(backoff, 7, Some(secs(50))), (secs(1), secs(60)));
}

/// Cut at the cap, additive jitter would send everybody back at once just when it matters most.
#[test]
fn additive_jitter_does_not_vanish_at_the_cap() {
    let backoff = Backoff::new(secs(1), secs(66)).unwrap();
    let (low, high) = range(backoff.with_jitter(Jitter::Additive), 20, None);
    assert_eq!((low, high), (secs(60), secs(66)));
}

#[test]
fn huge_settings_do_not_overflow() {
    let backoff = Backoff::new(Duration::MAX, Duration::MAX).unwrap();
    for jitter in JITTERS {
        let (low, high) = range(backoff.with_jitter(jitter), u32::MAX, Some(Duration::MAX));
        assert!(low <= high, "{jitter:?}");
    }
}

/// Kolmogorov-Smirnov against the uniform distribution: at a significance of 0.1% the critical distance is
/// 1.95 / sqrt(n). The seed is fixed, so this either always passes or never does.
#[test]
fn full_jitter_is_uniform() {
    const DRAWS: usize = 20_000;
    let backoff = Backoff::default();
    let mut rng = rng(42);
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| backoff.delay(3, None, &mut rng).as_secs_f64() / 8.0)
        .collect();
    draws.sort_by(f64::total_cmp);
    let n = DRAWS as f64;
    let distance = draws
        .iter()
        .enumerate()
        .map(|(i, x)| (x - i as f64 / n).abs().max(((i + 1) as f64 / n - x).abs()))
        .fold(0.0, f64::max);
    assert!(distance < 1.95 / n.sqrt(), "distance {distance}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let error = Backoff::new(Duration::ZERO, secs(1)).unwrap_err();
    assert_eq!(error.to_string(), "base is 0ns: expected more than zero");
    let error = Backoff::new(secs(2), secs(1)).unwrap_err();
    assert_eq!(error.to_string(), "cap is 1s: expected at least the base");
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..200_000_000_000_u64).prop_map(Duration::from_nanos),
        1 => any::<u64>().prop_map(Duration::from_secs),
        1 => Just(Duration::MAX),
    ]
}

/// Any that make sense: neither is zero, and the greater is the cap.
fn base_and_cap() -> impl Strategy<Value = (Duration, Duration)> {
    let duration = || durations().prop_map(|duration| duration.max(Duration::from_nanos(1)));
    (duration(), duration()).prop_map(|(one, other)| (one.min(other), one.max(other)))
}

proptest! {
    /// backon adds up to 100% of jitter on top of its cap.
    #[test]
    fn no_delay_exceeds_the_cap(
        (base, cap) in base_and_cap(),
        retry in any::<u32>(),
        previous in proptest::option::of(durations()),
        jitter in proptest::sample::select(JITTERS.as_slice()),
        seed in any::<u64>(),
    ) {
        let backoff = Backoff::new(base, cap).unwrap().with_jitter(jitter);
        prop_assert!(backoff.delay(retry, previous, &mut rng(seed)) <= cap);
        prop_assert!(backoff.delay(retry, previous, &mut Always(u64::MAX)) <= cap);
    }
}
