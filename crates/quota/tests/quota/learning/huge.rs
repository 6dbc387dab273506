//! Calls far above what was learnt.

use super::*;

/// What a pace was charged drains for no longer than a window would have held it.
#[tokio::test(start_paused = true)]
async fn one_call_blocks_a_pace_for_a_period_at_most() {
    let costs_all = |call: Reservation| {
        let usage = TokenUsage {
            input: u64::MAX,
            ..TokenUsage::default()
        };
        call.complete(&Completion::complete(Some(usage)));
    };
    let is_throttled = |call: Reservation| call.fail(&Fault::new(FaultKind::ThrottledTokens));
    for ends in [drop, Reservation::refund, costs_all, is_throttled] {
        let limiter = Limiter::new(LimitTable::new()).unwrap();
        send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
        advance(Duration::from_secs(60)).await;
        let huge = Demand::new(500).with_max_output_tokens(u64::MAX);
        let mut reserved = limiter
            .try_reserve(&target(), &huge, &Context::new())
            .unwrap();
        reserved.sent();
        let small = Demand::new(500).with_max_output_tokens(500);
        let wait = limiter.time_to_serve(&target(), &small, &Context::new());
        assert!(wait <= Duration::from_secs(61), "{wait:?}");
        ends(reserved);
        advance(Duration::from_secs(61)).await;
        send(&limiter).refund();
    }
}

#[tokio::test(start_paused = true)]
async fn a_huge_call_that_is_throttled_keeps_the_next_waiting() {
    let limiter = Limiter::new(LimitTable::new()).unwrap();
    let huge = Demand::new(500).with_max_output_tokens(u64::MAX / 2);
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
    for _ in 0..5 {
        advance(Duration::from_secs(61)).await;
        let mut reserved = limiter
            .try_reserve(&target(), &huge, &Context::new())
            .unwrap();
        reserved.sent();
        advance(Duration::from_millis(100)).await;
        reserved.fail(&Fault::new(FaultKind::ThrottledTokens));
        let refused = limiter.try_reserve(&target(), &huge, &Context::new());
        assert!(refused.is_err());
    }
}

/// A call that is larger than the pace counts gives back no more than was counted.
#[tokio::test(start_paused = true)]
async fn a_huge_call_gives_back_nothing_of_others() {
    let limiter = Limiter::new(LimitTable::new()).unwrap();
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
    advance(Duration::from_secs(60)).await;
    let read = || limiter.snapshot(&target()).unwrap().tokens_per_minute;
    let huge = Demand::new(500).with_max_output_tokens(u64::MAX);
    let mut reserved = limiter
        .try_reserve(&target(), &huge, &Context::new())
        .unwrap();
    reserved.sent();
    assert_eq!(Some(read().used), read().effective);
    let usage = TokenUsage {
        input: 500,
        output: 500,
        ..TokenUsage::default()
    };
    reserved.complete(&Completion::complete(Some(usage)));
    assert_eq!(read().used, 1_000);
}
