//! Calls that leave a share of every limit to others.

use super::*;

/// How long a call would wait that leaves such a share.
fn leaving(limiter: &Limiter, share: f64, amount: u64) -> Duration {
    limiter.time_to_serve_leaving(share, &target(), &tokens(amount), &Context::new())
}

fn every_window(limits: Limits) -> impl Iterator<Item = Limits> {
    [Window::Sliding, Window::Fixed, Window::Bucket]
        .into_iter()
        .map(move |window| limits.with_window(window))
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_tokens_a_minute_is_left() {
    for limits in every_window(Limits::new().with_tokens_per_minute(1_000)) {
        let limiter = builder(limits).build().unwrap();
        assert_eq!(leaving(&limiter, 0.25, 750), Duration::ZERO);
        assert_eq!(leaving(&limiter, 0.25, 751), Duration::MAX);
        let _most = take_all(&limiter, 700);
        assert_eq!(leaving(&limiter, 0.25, 50), Duration::ZERO);
        let wait = leaving(&limiter, 0.25, 150);
        assert!(wait > Duration::ZERO && wait <= MINUTE, "{wait:?}");
        assert_eq!(leaving(&limiter, 0.0, 300), Duration::ZERO);
        // The wait is over when it was said to be, and no sooner.
        advance(wait - Duration::from_millis(1)).await;
        assert_ne!(leaving(&limiter, 0.25, 150), Duration::ZERO);
        advance(Duration::from_millis(1)).await;
        assert_eq!(leaving(&limiter, 0.25, 150), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_requests_a_minute_is_left() {
    for limits in every_window(Limits::new().with_requests_per_minute(8)) {
        let limiter = builder(limits).build().unwrap();
        for _ in 0..6 {
            assert_eq!(leaving(&limiter, 0.25, 1), Duration::ZERO);
            take_all(&limiter, 1).complete(&used(1));
        }
        let wait = leaving(&limiter, 0.25, 1);
        assert!(wait > Duration::ZERO && wait <= MINUTE, "{wait:?}");
        for _ in 0..2 {
            assert_eq!(leaving(&limiter, 0.0, 1), Duration::ZERO);
            take_all(&limiter, 1).complete(&used(1));
        }
        assert_ne!(leaving(&limiter, 0.0, 1), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_tokens_a_day_is_left() {
    let table = LimitTable::new().with_tokens_per_day("*", 1_000);
    let limiter = Limiter::new(table).unwrap();
    assert_eq!(leaving(&limiter, 0.25, 751), Duration::MAX);
    let _most = take_all(&limiter, 750);
    assert_eq!(leaving(&limiter, 0.0, 250), Duration::ZERO);
    assert!(leaving(&limiter, 0.25, 1) > DAY - MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_share_is_left_of_whole_requests_and_of_no_more_than_there_are() {
    let limits = |requests| Limits::new().with_requests_per_minute(requests);
    for (requests, share, wait) in [
        // The nearest: of one it is none, of two one.
        (1, 0.25, Duration::ZERO),
        (1, 0.75, Duration::MAX),
        (2, 0.25, Duration::ZERO),
        (2, 1.0, Duration::MAX),
        (2, f64::INFINITY, Duration::MAX),
        (2, f64::NAN, Duration::ZERO),
        (2, -1.0, Duration::ZERO),
    ] {
        let limiter = builder(limits(requests)).build().unwrap();
        assert_eq!(leaving(&limiter, share, 1), wait, "{requests} {share}");
    }
    let limiter = Limiter::new(LimitTable::new()).unwrap();
    assert_eq!(leaving(&limiter, 1.0, u64::MAX), Duration::ZERO);
}
