//! Throttles for the day.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_throttle_for_the_day_holds_the_region_for_a_while() {
    let limiter = declared();
    let demand = Demand::new(1).with_max_output_tokens(1);
    let other = Target::parse("us-east-1", "us.acme.large-1").unwrap();
    let elsewhere = Target::parse("us-west-2", "acme.small-1").unwrap();
    let context = Context::new();
    let before = send(&limiter);
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    for target in [target(), other.clone()] {
        let refused = limiter.try_reserve(&target, &demand, &context).unwrap_err();
        assert_eq!(refused.limit, Limit::TokensPerDay);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(300)));
        let wait = limiter.time_to_serve(&target, &demand, &context);
        assert_eq!(wait, Duration::from_secs(300));
    }
    drop(limiter.try_reserve(&elsewhere, &demand, &context).unwrap());
    // One that was sent before it tells nothing new, whether throttled or answered.
    before.fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    advance(Duration::from_secs(300)).await;
    // If the next one is throttled too, the hold is twice as long.
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    let refused = limiter.try_reserve(&other, &demand, &context).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(600)));
    advance(Duration::from_secs(600)).await;
    send(&limiter).complete(&Completion::complete(Some(TokenUsage::default())));
    send(&limiter).fail(
        &Fault::new(FaultKind::ThrottledTokensPerDay).with_retry_after(Duration::from_secs(7)),
    );
    let refused = limiter.try_reserve(&other, &demand, &context).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(7)));
}

/// A hint that is far too long is no outage of a day: after an hour one call finds out.
#[tokio::test(start_paused = true)]
async fn no_hint_holds_the_region_for_longer_than_the_longest_hold() {
    let limiter = declared();
    let hint = Duration::from_secs(24 * 3_600);
    let fault = Fault::new(FaultKind::ThrottledTokensPerDay).with_retry_after(hint);
    send(&limiter).fail(&fault);
    let demand = Demand::new(1).with_max_output_tokens(1);
    let hour = Duration::from_secs(3_600);
    let wait = || limiter.time_to_serve(&target(), &demand, &Context::new());
    assert_eq!(wait(), hour);
    advance(hour).await;
    send(&limiter).complete(&Completion::complete(Some(TokenUsage::default())));
    assert_eq!(wait(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn after_a_throttle_for_the_day_one_call_at_a_time_finds_out() {
    let limiter = declared();
    let demand = Demand::new(1).with_max_output_tokens(1);
    let wait = || limiter.time_to_serve(&target(), &demand, &Context::new());
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokensPerDay));
    advance(Duration::from_secs(300)).await;
    let first = send(&limiter);
    assert_eq!(wait(), Duration::from_secs(10));
    // Whatever becomes of the first, somebody asks after a while.
    drop(first);
    advance(Duration::from_secs(10)).await;
    let second = send(&limiter);
    assert_eq!(wait(), Duration::from_secs(10));
    second.complete(&Completion::complete(Some(TokenUsage::default())));
    assert_eq!(wait(), Duration::ZERO);
}
