//! Limits that were declared, and 429s that say otherwise.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_throttle_teaches_the_limit_it_names_and_no_other() {
    use FaultKind::*;
    for kind in FaultKind::ALL {
        let limiter = declared();
        send(&limiter).fail(&Fault::new(kind));
        let expected = match kind {
            // Hardly anything was used, so the level is halved first.
            ThrottledRequests => (47, 100_000),
            ThrottledTokens => (100, 47_500),
            // One that does not say which teaches the fuller one; here they are equally full.
            Throttled => (47, 100_000),
            _ => (100, 100_000),
        };
        assert_eq!(effective(&limiter), expected, "{kind}");
    }
    // With the tokens used up further than the requests, it is the tokens.
    let limiter = declared();
    let large = Demand::new(60_000).with_max_output_tokens(0);
    let mut reserved = limiter
        .try_reserve(&target(), &large, &Context::new())
        .unwrap();
    reserved.sent();
    send(&limiter).fail(&Fault::new(Throttled));
    assert_eq!(effective(&limiter), (100, 57_950));
}

#[tokio::test(start_paused = true)]
async fn throttles_of_calls_sent_before_the_shrink_are_one_event() {
    let limiter = declared();
    let calls: Vec<_> = (0..80).map(|_| send(&limiter)).collect();
    advance(Duration::from_secs(1)).await;
    for call in calls {
        call.fail(&Fault::new(FaultKind::ThrottledRequests));
    }
    // 0.95 of the 80 that were in use.
    assert_eq!(effective(&limiter).0, 76);
    // A call sent after it is another.
    advance(Duration::from_secs(1)).await;
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledRequests));
    assert!(effective(&limiter).0 < 76);
}

#[tokio::test(start_paused = true)]
async fn calm_restores_a_declared_limit() {
    let limiter = declared();
    send(&limiter).fail(&Fault::new(FaultKind::ThrottledRequests));
    assert_eq!(effective(&limiter).0, 47);
    let mut at = Vec::new();
    for _ in 0..4 {
        advance(Duration::from_secs(120)).await;
        at.push(effective(&limiter).0);
    }
    // Two minutes of doubt, then a tenth of the limit a minute.
    assert_eq!(at, [47, 67, 87, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_told_not_to_learn_keeps_to_what_is_declared() {
    let limits = Limits::new()
        .with_requests_per_minute(100)
        .with_tokens_per_minute(100_000);
    let limiter = Limiter::builder()
        .limits(LimitTable::new().with(QuotaPattern::any(), limits))
        .learn(false)
        .build()
        .unwrap();
    for kind in [
        FaultKind::ThrottledRequests,
        FaultKind::ThrottledTokens,
        FaultKind::ThrottledTokensPerDay,
    ] {
        send(&limiter).fail(&Fault::new(kind));
    }
    assert_eq!(effective(&limiter), (100, 100_000));
    drop(send(&limiter));
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_never_forbids_a_call_that_the_declared_limit_allows() {
    let limiter = declared();
    for _ in 0..20 {
        advance(Duration::from_secs(61)).await;
        send(&limiter).fail(&Fault::new(FaultKind::ThrottledTokens));
    }
    let (_, tokens) = effective(&limiter);
    assert!(tokens < 10_000, "{tokens}");
    let large = Demand::new(90_000).with_max_output_tokens(0);
    let mut reserved = limiter
        .reserve(&target(), &large, &Context::new())
        .await
        .unwrap();
    reserved.sent();
}

#[tokio::test(start_paused = true)]
async fn what_is_left_to_others_is_a_share_of_what_was_learnt() {
    let limiter = declared();
    let calls: Vec<_> = (0..80).map(|_| send(&limiter)).collect();
    for call in calls {
        call.fail(&Fault::new(FaultKind::ThrottledRequests));
    }
    assert_eq!(effective(&limiter).0, 76);
    let demand = Demand::new(1).with_max_output_tokens(0);
    let wait = |share| limiter.time_to_serve_leaving(share, &target(), &demand, &Context::new());
    for _ in 0..57 {
        assert_eq!(wait(0.25), Duration::ZERO);
        drop(send(&limiter));
    }
    assert_ne!(wait(0.25), Duration::ZERO);
    for _ in 0..19 {
        assert_eq!(wait(0.0), Duration::ZERO);
        drop(send(&limiter));
    }
    assert_ne!(wait(0.0), Duration::ZERO);
}
