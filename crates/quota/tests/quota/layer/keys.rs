//! Which calls share a quota.

use super::*;

#[tokio::test(start_paused = true)]
async fn models_routes_regions_and_the_reserved_tier_have_quotas_of_their_own() {
    let limiter = requests(1);
    let demand = Demand::new(1).with_max_output_tokens(1);
    let context = Context::new();
    let base = "amazon.nova-lite-v1:0";
    let geographic = format!("us.{base}");
    let arn = format!("arn:aws:bedrock:us-east-1::foundation-model/{base}");
    let profile = format!("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{base}");
    let target = |region: &str, model: &str| Target::parse(region, model).unwrap();
    let reserved =
        target("us-east-1", base).with_service_tier(tower_bedrock_core::ServiceTier::Reserved);
    let first = [
        target("us-east-1", base),
        target("us-west-2", base),
        target("us-east-1", &geographic),
        target("us-east-1", &format!("global.{base}")),
        target("us-east-1", "amazon.nova-pro-v1:0"),
    ];
    for target in &first {
        limiter
            .try_reserve(target, &demand, &context)
            .unwrap()
            .sent();
    }
    let same = [
        target("us-east-1", &arn),
        target("us-east-1", &profile),
        target("us-east-1", base).with_service_tier(tower_bedrock_core::ServiceTier::Priority),
        target("us-east-1", base).with_service_tier(tower_bedrock_core::ServiceTier::Flex),
    ];
    for target in &same {
        assert!(
            limiter.try_reserve(target, &demand, &context).is_err(),
            "{target}"
        );
    }
    // No limit is declared for it: `QuotaPattern::any` leaves the reserved tier out.
    for _ in 0..3 {
        limiter
            .try_reserve(&reserved, &demand, &context)
            .unwrap()
            .sent();
    }
}

#[tokio::test(start_paused = true)]
async fn a_days_tokens_are_shared_by_the_models_of_a_region() {
    let limiter = builder(LimitTable::new().with_tokens_per_day("us-*", 1_000))
        .max_wait(MINUTE * 24 * 60)
        .build()
        .unwrap();
    let context = Context::new();
    let target = |region, model| Target::parse(region, model).unwrap();
    let demand = |tokens| Demand::new(tokens).with_max_output_tokens(0);
    let (one, other) = (
        target("us-east-1", "amazon.nova-lite-v1:0"),
        target("us-east-1", "us.amazon.nova-pro-v1:0"),
    );
    let mut first = limiter.try_reserve(&one, &demand(900), &context).unwrap();
    first.sent();
    let refused = limiter.try_reserve(&other, &demand(200), &context);
    let exhausted = refused.unwrap_err();
    assert_eq!(exhausted.limit, Limit::TokensPerDay);
    assert_eq!((exhausted.asked, exhausted.available), (200, 100));
    let too_large = limiter.try_reserve(&other, &demand(1_001), &context);
    assert_eq!(too_large.unwrap_err().reason, Reason::TooLarge);
    // Another Region has its own.
    let west = target("us-west-2", "amazon.nova-lite-v1:0");
    limiter
        .try_reserve(&west, &demand(900), &context)
        .unwrap()
        .sent();
    // Outside the pattern there is none.
    let europe = target("eu-west-1", "amazon.nova-lite-v1:0");
    limiter
        .try_reserve(&europe, &demand(5_000), &context)
        .unwrap()
        .sent();

    // One key's call waits for the day, and another key's call that ends lets it through.
    let waits = tokio::spawn(async move {
        let start = Instant::now();
        let reserved = limiter.reserve(&other, &demand(200), &Context::new()).await;
        reserved.map(|_| start.elapsed())
    });
    tokio::task::yield_now().await;
    advance(Duration::from_secs(5)).await;
    first.complete(&Completion::complete(Some(usage(100, 0))));
    let waited = waits.await.unwrap().unwrap();
    assert_eq!(waited.as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_may_be_the_id_that_is_called() {
    const ARN: &str = "arn:aws:bedrock:us-east-1::foundation-model/acme.large-1";
    const PROFILE: &str =
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3";
    let tokens = |tokens| Limits::new().with_tokens_per_minute(tokens);
    let table = LimitTable::new()
        .with(QuotaPattern::model("us.amazon.nova-lite-v1:0"), tokens(1))
        .with(QuotaPattern::model("global.amazon.nova-*"), tokens(2))
        .with(QuotaPattern::model("eu.*"), tokens(3))
        .with(QuotaPattern::model(ARN), tokens(5))
        .with(QuotaPattern::model(PROFILE), tokens(6))
        .with(QuotaPattern::model("amazon.nova-lite-v1:0"), tokens(4));
    let limiter = Limiter::new(table).unwrap();
    for (model, expected) in [
        ("us.amazon.nova-lite-v1:0", 1),
        ("eu.amazon.nova-lite-v1:0", 1),
        ("global.amazon.nova-lite-v1:0", 2),
        ("us.amazon.nova-pro-v1:0", 3),
        ("amazon.nova-lite-v1:0", 4),
        (ARN, 5),
        ("acme.large-1", 5),
        (PROFILE, 6),
    ] {
        let target = Target::parse("us-east-1", model).unwrap();
        let free = Demand::new(0).with_max_output_tokens(0);
        drop(limiter.try_reserve(&target, &free, &Context::new()));
        let declared = limiter
            .snapshot(&target)
            .unwrap()
            .tokens_per_minute
            .declared;
        assert_eq!(declared, Some(expected), "{model}");
    }
}
