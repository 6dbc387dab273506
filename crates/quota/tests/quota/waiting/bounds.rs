//! What is kept is bounded, and so are the settings.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_a_flood_cannot_fill_it() {
    let limiter = builder(Limits::new().with_requests_per_minute(1))
        .max_waiting(3)
        .build()
        .unwrap();
    let _all = take_all(&limiter, 1);
    let of = |tenant: &str| Context::new().with_tenant(tenant);
    let mut flood = Vec::new();
    for _ in 0..3 {
        flood.push(wait(&limiter, tokens(1), of("flood")).await);
    }
    // Full: the flood gets no more in ...
    let refused = wait(&limiter, tokens(1), of("flood")).await;
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::TooManyWaiting);
    assert!(refused.retry_after().is_some());
    // ... another tenant does, in the place of the flood's newest ...
    let calm = wait(&limiter, tokens(1), of("calm")).await;
    let gave_way = flood.pop().unwrap().await.unwrap().unwrap_err();
    assert_eq!(gave_way.reason, Reason::TooManyWaiting);
    // ... and another class has places of its own.
    let urgent = of("flood").with_priority(Priority::Interactive);
    let urgent = wait(&limiter, tokens(1), urgent).await;
    let snapshot = limiter.snapshot(&target()).unwrap();
    assert_eq!(snapshot.waiting, [1, 3, 0]);
    assert_eq!(waited(urgent).await, 60);
    // The flood's first came before it; its second comes after.
    assert_eq!(waited(flood.remove(0)).await, 120);
    assert_eq!(waited(calm).await, 180);
    assert_eq!(waited(flood.remove(0)).await, 240);
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded_whatever_clients_name() {
    let limits = LimitTable::new().with(
        QuotaPattern::model("acme.*"),
        Limits::new().with_requests_per_minute(5),
    );
    let limiter = Limiter::builder()
        .limits(limits)
        .max_keys(10)
        .build()
        .unwrap();
    let context = Context::new();
    let reserve = |model: &str| {
        let target = Target::parse("us-east-1", model).unwrap();
        limiter.try_reserve(&target, &tokens(1), &context)
    };
    // Invented models that Bedrock refuses leave nothing behind.
    for i in 0..1_000 {
        advance(Duration::from_millis(200)).await;
        let mut reserved = reserve(&format!("acme.invented-{i}")).unwrap();
        reserved.sent();
        reserved.refund();
    }
    assert!(limiter.snapshots().len() <= 10);
    // However fast they come, there is room for another.
    for i in 0..100 {
        drop(reserve(&format!("acme.quick-{i}")).unwrap());
    }
    assert!(limiter.snapshots().len() <= 10);
    // Ten that are in use stay, whatever else is named.
    advance(MINUTE).await;
    let held: Vec<_> = (0..10)
        .map(|i| reserve(&format!("acme.used-{i}")).unwrap())
        .collect();
    advance(Duration::from_secs(2)).await;
    let refused = reserve("acme.another-1").unwrap_err();
    assert_eq!(refused.reason, Reason::TooManyKeys);
    // One without limits is none of the limiter's business.
    assert_eq!(reserve("other.model-1").unwrap().tokens(), 0);
    assert_eq!(limiter.snapshots().len(), 10);
    drop(held);
    advance(Duration::from_secs(2)).await;
    drop(reserve("acme.another-1").unwrap());
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_range_are_named() {
    let cases = [
        (
            builder(Limits::new().with_tokens_per_minute(0)),
            "tokens_per_minute is 0: expected 1 to 1000000000000",
        ),
        (
            builder(Limits::new().with_requests_per_minute(u64::MAX)),
            "requests_per_minute is 18446744073709551615: expected 1 to 1000000000000",
        ),
        (
            Limiter::builder().limits(LimitTable::new().with_tokens_per_day("*", 0)),
            "tokens_per_day is 0: expected 1 to 1000000000000",
        ),
        (
            Limiter::builder().max_wait(DAY * 2),
            "max_wait is 172800: expected 0 to 86400",
        ),
        (
            Limiter::builder().delay_variation(DAY),
            "delay_variation is 86400: expected 0 to 10",
        ),
        (
            Limiter::builder().min_attempt_time(DAY * 2),
            "min_attempt_time is 172800: expected 0 to 86400",
        ),
        (
            Limiter::builder().max_waiting(0),
            "max_waiting is 0: expected 1 to 10000000",
        ),
        (
            Limiter::builder().max_keys(0),
            "max_keys is 0: expected 1 to 10000000",
        ),
        (
            Limiter::builder().tenant_weight("a", 0),
            "tenant_weight is 0: expected 1 to 1000",
        ),
        (
            Limiter::builder().estimate_quantile(f64::NAN),
            "estimate_quantile is NaN: expected 0.5 to 0.999",
        ),
    ];
    for (builder, expected) in cases {
        assert_eq!(builder.build().unwrap_err().to_string(), expected);
    }
    let limiter = builder(bucket(600)).build().unwrap();
    limiter.set_limits(table(bucket(0))).unwrap_err();
    assert_eq!(
        limiter.time_to_serve(&target(), &tokens(600), &Context::new()),
        Duration::ZERO
    );
}
