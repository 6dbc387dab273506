//! What a configuration may say, and what it is told otherwise.

#![cfg(feature = "config")]
#![allow(clippy::unwrap_used)]

use std::{error::Error, future::ready};

use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock::{
    Answer, BoxError, Context, Demand, Fault, FaultKind, Invocation, Target,
    breaker::State,
    config::{ConfiguredStack, StackConfig},
};

fn build(text: &str) -> Result<ConfiguredStack, Box<dyn Error + Send + Sync>> {
    Ok(toml::from_str::<StackConfig>(text)?.build()?)
}

#[tokio::test]
async fn nothing_said_is_the_default_and_a_policy_can_be_switched_off() {
    let target = Target::parse("us-east-1", "a.b").unwrap();
    let stack = build("").unwrap();
    assert_eq!(stack.retry().policy().max_attempts(), 5);
    assert_eq!(stack.breaker().handle().state(&target), State::Closed);

    let without = "[retry]\nenabled = false\n[breaker]\nenabled = false";
    let without = build(without).unwrap();
    assert_eq!(without.retry().policy().max_attempts(), 1);
    assert_eq!(without.breaker().handle().state(&target), State::Disabled);
}

#[tokio::test]
async fn a_breaker_can_go_by_the_rate_alone() {
    let target = Target::parse("us-east-1", "a.b").unwrap();
    let by_rate = "[breaker]\nconsecutive_failures = 0";
    for (text, expected) in [("", State::Open), (by_rate, State::Closed)] {
        let stack = build(text).unwrap();
        let service = stack.breaker().layer(service_fn(|_: Invocation<()>| {
            ready(Err::<Answer<()>, _>(BoxError::from(Fault::new(
                FaultKind::Unavailable,
            ))))
        }));
        for _ in 0..5 {
            let call = Invocation::new(target.clone(), ());
            service.clone().oneshot(call).await.unwrap_err();
        }
        assert_eq!(stack.breaker().handle().state(&target), expected);
    }
}

#[tokio::test]
async fn a_breaker_leaves_throttles_to_the_quota_unless_told_to_count_them() {
    let target = Target::parse("us-east-1", "a.b").unwrap();
    let counts = "count_throttles = true";
    let throttled = FaultKind::ThrottledTokens;
    for (text, kind, expected) in [
        (counts, throttled, State::Open),
        ("", throttled, State::Closed),
        ("", FaultKind::ModelNotReady, State::Open),
        ("", FaultKind::Unavailable, State::Open),
    ] {
        let stack = build(&format!("[breaker]\n{text}")).unwrap();
        let service = stack.breaker().layer(service_fn(move |_: Invocation<()>| {
            ready(Err::<Answer<()>, _>(BoxError::from(Fault::new(kind))))
        }));
        for _ in 0..100 {
            let call = Invocation::new(target.clone(), ());
            service.clone().oneshot(call).await.unwrap_err();
        }
        let state = stack.breaker().handle().state(&target);
        assert_eq!(state, expected, "{text:?}, {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_waited_for_as_long_as_configured_and_counts_as_configured() {
    let target = Target::parse("us-east-1", "a.b").unwrap();
    let limit = "[[quota]]\ntokens_per_minute = 600\nwindow =";
    let wait = |window: &str, at_most: &str| {
        let text = format!("[timeout]\nquota = \"{at_most}\"\n{limit} \"{window}\"");
        let limiter = build(&text).unwrap().quota().limiter().clone();
        let (target, context) = (target.clone(), Context::new());
        async move {
            let [all, part] = [600, 60].map(|tokens| Demand::new(tokens).with_max_output_tokens(0));
            let all = limiter.reserve(&target, &all, &context).await;
            all.unwrap().sent();
            let before = Instant::now();
            let part = limiter.reserve(&target, &part, &context).await;
            part.is_ok().then(|| before.elapsed().as_secs())
        }
    };
    // A tenth of a bucket's minute; a window's use leaves it all at once.
    assert_eq!(wait("bucket", "61s").await, Some(6));
    assert_eq!(wait("sliding", "61s").await, Some(60));
    assert_eq!(wait("sliding", "30s").await, None);
}

#[tokio::test]
async fn what_has_not_changed_keeps_its_state() {
    const QUOTA: &str = "[[quota]]\nmodel = \"a.*\"\nrequests_per_minute = 10\n";
    let target = Target::parse("us-east-1", "a.b").unwrap();
    let read = |text: &str| toml::from_str::<StackConfig>(text).unwrap();
    let before = read(QUOTA);
    let stack = before.build().unwrap();
    stack.breaker().handle().force_open(&target);
    let (demand, context) = (Demand::new(1), Context::new());
    let reservation = stack.quota().limiter().reserve(&target, &demand, &context);
    let mut reservation = reservation.await.unwrap();
    reservation.sent();
    drop(reservation);
    let used = |stack: &ConfiguredStack| {
        let snapshot = stack.quota().limiter().snapshot(&target);
        snapshot.map(|snapshot| snapshot.requests_per_minute.used)
    };
    let state = |stack: &ConfiguredStack| stack.breaker().handle().state(&target);

    let cases = [
        // A change elsewhere.
        (
            "[retry]\nmax_attempts = 2\n",
            QUOTA,
            Some(1),
            State::ForcedOpen,
        ),
        // Of what a limiter can't change while it runs.
        (
            "",
            "[[quota]]\nmodel = \"a.*\"\nburndown = 2\n",
            None,
            State::ForcedOpen,
        ),
        ("", "", None, State::ForcedOpen),
        ("[breaker]\nwindow = 7\n", QUOTA, Some(1), State::Closed),
        // Of limits alone: both stacks take them.
        (
            "",
            "[[quota]]\nmodel = \"a.*\"\nrequests_per_minute = 5\n",
            Some(1),
            State::ForcedOpen,
        ),
    ];
    for (sections, quota, level, breaker) in cases {
        let after = read(&format!("{sections}{quota}"));
        let rebuilt = after.rebuild(&before, &stack).unwrap();
        assert_eq!(
            (used(&rebuilt), state(&rebuilt)),
            (level, breaker),
            "{after:?}"
        );
        let limits = after
            .quota
            .first()
            .and_then(|quota| quota.requests_per_minute);
        if let Some(snapshot) = rebuilt.quota().limiter().snapshot(&target) {
            assert_eq!(snapshot.requests_per_minute.declared, limits);
        }
    }
    let shares = |share| StackConfig {
        shares: vec![("a".into(), share)],
        ..before.clone()
    };
    let rebuilt = shares(3).rebuild(&before, &stack).unwrap();
    assert_eq!(used(&rebuilt), Some(1));
    let refused = shares(0).rebuild(&before, &stack).unwrap_err().to_string();
    assert!(refused.contains("tenant_weight is 0"), "{refused}");
    let wrong = read("[retry]\nmax_attempts = 0\n");
    assert!(wrong.rebuild(&before, &stack).is_err());
}

#[tokio::test(start_paused = true)]
async fn tenants_wait_in_proportion_to_their_shares() {
    let config = StackConfig {
        shares: vec![("three".into(), 3)],
        ..toml::from_str("[[quota]]\ntokens_per_minute = 16").unwrap()
    };
    let limiter = config.build().unwrap().quota().limiter().clone();
    let target = Target::parse("us-east-1", "a.b").unwrap();
    let demand = |tokens| Demand::new(tokens).with_max_output_tokens(0);
    // Takes all there is, until everybody waits.
    let first = limiter.reserve(&target, &demand(16), &Context::new()).await;
    let (granted, mut order) = tokio::sync::mpsc::unbounded_channel();
    for tenant in ["three", "one"].into_iter().cycle().take(16) {
        let (limiter, target, granted) = (limiter.clone(), target.clone(), granted.clone());
        tokio::spawn(async move {
            let context = Context::new().with_tenant(tenant);
            let reservation = limiter
                .reserve(&target, &demand(1), &context)
                .await
                .unwrap();
            granted.send(tenant).unwrap();
            reservation.refund();
        });
        tokio::task::yield_now().await;
    }
    drop(granted);
    first.unwrap().refund();
    let mut of_three = 0;
    for _ in 0..8 {
        of_three += u32::from(order.recv().await == Some("three"));
    }
    assert_eq!(of_three, 6);

    let wrong = StackConfig {
        shares: vec![("none".into(), 0)],
        ..StackConfig::default()
    };
    let error = wrong.build().unwrap_err().to_string();
    assert!(
        error.contains("tenant_weight is 0: expected 1 to 1000"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_right_is_named() {
    let cases = [
        ("[retri]\nmax_attempts = 3", "unknown field `retri`"),
        ("[retry]\nmax_atempts = 3", "unknown field `max_atempts`"),
        ("[retry]\nmax_attempts = 0", "max_attempts"),
        ("[retry]\nmax_attempts = -1", "max_attempts"),
        ("[retry]\nbase_delay = \"0s\"", "expected more than 0s"),
        ("[retry]\nbase_delay = \"2m\"", "no less than base_delay"),
        ("[retry]\nbase_delay = 5", "base_delay"),
        (
            "[retry]\nbudget = 1.5",
            "budget is 1.5: expected 0.0 to 1.0",
        ),
        ("[retry]\nbudget = nan", "budget is NaN"),
        ("[breaker]\nopen_for = \"0s\"", "open_for"),
        ("[breaker]\nfailure_rate = 0.0", "failure_rate"),
        ("[breaker]\nwindow = 0", "window"),
        ("[breaker]\nhalf_open_probes = 0", "half_open"),
        (
            "[timeout]\nattempt = \"0s\"",
            "the attempt timeout is 0ns: expected more than 0s",
        ),
        (
            "[timeout]\nfirst_event = \"0s\"",
            "the first_event timeout is 0ns: expected more than 0s",
        ),
        ("[timeout]\nrequest = \"soon\"", "request"),
        (
            "[timeout]\nquota = \"2days\"",
            "[timeout] quota is 172800s: expected at most 1day",
        ),
        ("[[quota]]\ntokens_per_minute = 0", "tokens_per_minute is 0"),
        (
            "[[quota]]\nmodel = \"a.b\"\ntokens_per_day = 5",
            "of a whole Region",
        ),
        (
            "[[quota]]\nburndown = 0",
            "burndown rate of \"*\" is 0: expected 1 to 1000",
        ),
        (
            "[[fallback]]\nmodel = \"a.b\"",
            "0 alternatives, expected 1 to 15",
        ),
        (
            "[[fallback]]\nmodel = \"a/b\"\nchain = [{ model = \"a.c\" }]",
            "model id \"a/b\" is not valid",
        ),
        (
            "[[fallback]]\nmodel = \"a.b\"\nchain = [{}]",
            "an empty alternative",
        ),
        (
            "[[fallback]]\nchain = [{ region = \"US\" }]",
            "region \"US\" is not valid",
        ),
        (
            "[[fallback]]\nchain = [{ service_tier = \"turbo\" }]",
            "expected one of priority, default, flex, reserved",
        ),
        (
            "[[fallback]]\nwithin = \"mars\"\nchain = [{ region = \"us-east-1\" }]",
            "geography \"mars\" is not known",
        ),
        (
            "[[fallback]]\nwithin = \"eu\"\nchain = [{ region = \"us-east-1\" }]",
            "may leave eu",
        ),
    ];
    for (text, expected) in cases {
        let error = build(text).map(|_| ()).expect_err(text);
        let message = std::iter::successors(Some(&*error as &dyn Error), |error| (*error).source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        assert!(message.contains(expected), "{text}\n{message}");
    }
}
