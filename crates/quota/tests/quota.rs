//! The layer around a mock, in paused time.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt};
use tower_bedrock_core::{
    Answer, BoxError, Completion, Context, Demand, Fault, FaultKind, HasCompletion, HasFault,
    Invocation, Observers, Outcome, Priority, Target, TokenUsage,
};
use tower_bedrock_quota::{
    CountTokens, Exhausted, Limit, LimitTable, Limiter, LimiterBuilder, Limits, Observe, QuotaKey,
    QuotaLayer, QuotaPattern, Reason, RightSizing,
};
use tower_test::mock;

type Call = Invocation<()>;
type Reply = Answer<()>;

const MINUTE: Duration = Duration::from_secs(60);

fn target() -> Target {
    Target::parse("us-east-1", "anthropic.claude-sonnet-4-20250514-v1:0").unwrap()
}

fn call(input: u64, max_output: u64) -> Call {
    Invocation::new(target(), ()).with_demand(Demand::new(input).with_max_output_tokens(max_output))
}

fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input,
        output,
        ..TokenUsage::default()
    }
}

/// Calls reach a mock at once, so that times are exact.
fn builder(limits: LimitTable) -> LimiterBuilder {
    Limiter::builder()
        .limits(limits)
        .delay_variation(Duration::ZERO)
}

fn limited(limits: Limits) -> Limiter {
    builder(LimitTable::new().with(QuotaPattern::any(), limits))
        .build()
        .unwrap()
}

/// One request a minute, and patience for a day.
fn patient() -> Limiter {
    let limits = Limits::new().with_requests_per_minute(1);
    builder(LimitTable::new().with(QuotaPattern::any(), limits))
        .max_wait(MINUTE * 24 * 60)
        .build()
        .unwrap()
}

fn tokens(limit: u64) -> Limiter {
    limited(Limits::new().with_tokens_per_minute(limit))
}

fn requests(limit: u64) -> Limiter {
    limited(Limits::new().with_requests_per_minute(limit))
}

fn used(limiter: &Limiter) -> u64 {
    limiter.snapshot(&target()).unwrap().tokens_per_minute.used
}

macro_rules! serve {
    ($handle:expr, $reply:expr) => {
        $handle
            .next_request()
            .await
            .unwrap()
            .1
            .send_response($reply)
    };
}

#[tokio::test(start_paused = true)]
async fn reserves_settles_and_owes_as_bedrock_does() {
    let limiter = tokens(100_000);
    let (mut service, mut handle) =
        mock::spawn_layer::<Call, Reply, _>(QuotaLayer::new(limiter.clone()));
    let cases = [
        // in, max, out, reserved, settled
        (1_000, 64_000, 100, 65_000, 1_500),
        (10, 32_000, 750, 32_010, 3_760),
        (2_005, 1_000, 200, 3_005, 3_005),
        (6, 100, 12, 106, 66),
        // Five times the output is more than was reserved.
        (1_000, 1_000, 1_000, 2_000, 6_000),
    ];
    for (input, max, output, reserved, settled) in cases {
        advance(MINUTE * 2).await;
        tokio::task::yield_now().await;
        let mut response = tokio_test::task::spawn({
            tokio_test::assert_ready_ok!(service.poll_ready());
            service.call(call(input, max))
        });
        tokio_test::assert_pending!(response.poll());
        assert_eq!(used(&limiter), reserved);
        let (_, send) = handle.next_request().await.unwrap();
        send.send_response(Answer::new(()).with_usage(usage(input, output)));
        tokio_test::assert_ready_ok!(response.poll());
        assert_eq!(used(&limiter), settled);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_until_the_window_has_room_and_no_longer() {
    let limiter = requests(2);
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let service = QuotaLayer::new(limiter).layer(service);
    handle.allow(10);
    let start = Instant::now();
    let answered = tokio::spawn(async move {
        let mut times = Vec::new();
        for _ in 0..6 {
            let service = service.clone();
            service.oneshot(call(1, 1)).await.unwrap();
            times.push(start.elapsed().as_secs());
        }
        times
    });
    for _ in 0..6 {
        serve!(handle, Answer::new(()));
    }
    assert_eq!(answered.await.unwrap(), [0, 0, 60, 60, 120, 120]);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_is_refused_at_once_with_the_numbers() {
    let limiter = tokens(10_000);
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let service = QuotaLayer::new(limiter.clone()).layer(service);
    handle.allow(0);
    let error = service.oneshot(call(10_000, 1)).await.unwrap_err();
    let exhausted = error.downcast_ref::<Exhausted>().unwrap();
    assert_eq!(exhausted.limit, Limit::TokensPerMinute);
    assert_eq!((exhausted.asked, exhausted.available), (10_001, 10_000));
    assert_eq!(exhausted.reason, Reason::TooLarge);
    assert_eq!(exhausted.retry_after(), None);
    assert_eq!(error.fault(), Fault::new(FaultKind::QuotaExhausted));
    assert_eq!(
        exhausted.to_string(),
        "quota exhausted: asked 10001 of tokens a minute, of which 10000 are free; \
         that is more than the whole limit"
    );
    assert_eq!(used(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_refused_at_once_with_the_time_to_come_back() {
    let limiter = requests(1);
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let service = QuotaLayer::new(limiter).layer(service);
    handle.allow(1);
    let first = tokio::spawn(service.clone().oneshot(call(1, 1)));
    serve!(handle, Answer::new(()));
    first.await.unwrap().unwrap();

    advance(Duration::from_secs(20)).await;
    let before = Instant::now();
    let deadline = before + Duration::from_secs(39);
    let context = Context::new().with_deadline(deadline);
    let late = service.clone().oneshot(call(1, 1).with_context(context));
    let error = late.await.unwrap_err();
    let exhausted = error.downcast_ref::<Exhausted>().unwrap();
    assert_eq!(exhausted.reason, Reason::WaitTooLong);
    assert_eq!(exhausted.limit, Limit::RequestsPerMinute);
    assert_eq!((exhausted.asked, exhausted.available), (1, 0));
    assert_eq!(exhausted.retry_after(), Some(Duration::from_secs(40)));
    assert_eq!(before, Instant::now());

    // One with a minute of patience (the default) waits.
    handle.allow(1);
    let patient = tokio::spawn(service.oneshot(call(1, 1)));
    serve!(handle, Answer::new(()));
    patient.await.unwrap().unwrap();
    assert_eq!(before.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn every_fault_gives_back_or_keeps_as_documented() {
    for kind in FaultKind::ALL {
        let limits = LimitTable::new().with(
            QuotaPattern::any(),
            Limits::new().with_tokens_per_minute(10_000),
        );
        let limiter = Limiter::new(limits).unwrap();
        let (service, mut handle) = mock::pair::<Call, Reply>();
        let service = QuotaLayer::new(limiter.clone()).layer(service);
        let failed = tokio::spawn(service.oneshot(call(1_000, 500)));
        let (_, send) = handle.next_request().await.unwrap();
        send.send_error(Fault::new(kind));
        assert_eq!(failed.await.unwrap().unwrap_err().fault().kind(), kind);
        let kept = matches!(
            kind,
            FaultKind::Internal
                | FaultKind::ModelError
                | FaultKind::ModelTimeout
                | FaultKind::ModelStreamError
                | FaultKind::Transport
                | FaultKind::Timeout
                | FaultKind::Unknown
        );
        let snapshot = limiter.snapshot(&target()).unwrap();
        assert_eq!(
            snapshot.tokens_per_minute.used,
            if kept { 1_500 } else { 0 }
        );
        assert_eq!(snapshot.calls_in_flight, 0);
    }
}

/// A stream that tells its cost when it ends.
struct Stream(Observers);

impl HasCompletion for Stream {
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
        self.0.add(observer);
    }
}

async fn stream(limiter: &Limiter) -> Stream {
    let (service, mut handle) = mock::pair::<Call, Stream>();
    let service = QuotaLayer::new(limiter.clone()).layer(service);
    let response = tokio::spawn(service.oneshot(call(1_000, 4_000)));
    serve!(handle, Stream(Observers::default()));
    response.await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_settles_when_it_ends() {
    let limiter = tokens(100_000);
    let mut answer = stream(&limiter).await;
    assert_eq!(used(&limiter), 5_000);
    answer.0.usage(usage(1_000, 10));
    assert_eq!(used(&limiter), 5_000);
    answer.0.finish(Outcome::Complete);
    assert_eq!(used(&limiter), 1_050);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_keeps_what_it_reserved() {
    let limiter = tokens(100_000);
    drop(stream(&limiter).await);
    assert_eq!(used(&limiter), 5_000);
    advance(MINUTE).await;
    assert_eq!(used(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_is_charged_what_is_known() {
    let limiter = tokens(100_000);
    let mut answer = stream(&limiter).await;
    answer.0.usage(usage(1_000, 100));
    answer
        .0
        .finish(Outcome::Failed(Fault::new(FaultKind::ModelStreamError)));
    assert_eq!(used(&limiter), 1_500);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_it_leaks_nothing() {
    let limiter = patient();
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let mut service = QuotaLayer::new(limiter.clone()).layer(service);
    let in_use = || {
        let snapshot = limiter.snapshot(&target()).unwrap();
        (
            snapshot.requests_per_minute.used,
            snapshot.calls_in_flight,
            snapshot.waiting,
        )
    };
    handle.allow(0);

    // Never polled: nothing was asked.
    drop(tower::Service::call(&mut service, call(1, 1)));
    assert!(limiter.snapshot(&target()).is_none());

    // Admitted, and the inner service not ready.
    let mut admitted = tokio_test::task::spawn(tower::Service::call(&mut service, call(1, 1)));
    tokio_test::assert_pending!(admitted.poll());
    assert_eq!(in_use(), (1, 1, [0, 0, 0]));
    drop(admitted);
    assert_eq!(in_use(), (0, 0, [0, 0, 0]));

    // In flight: kept for a minute.
    handle.allow(1);
    let mut called = tokio_test::task::spawn(tower::Service::call(&mut service, call(1, 1)));
    tokio_test::assert_pending!(called.poll());
    handle.next_request().await.unwrap();
    drop(called);
    assert_eq!(in_use(), (1, 0, [0, 0, 0]));

    // Waiting.
    let mut waiting = tokio_test::task::spawn(tower::Service::call(&mut service, call(1, 1)));
    tokio_test::assert_pending!(waiting.poll());
    assert_eq!(in_use(), (1, 0, [0, 1, 0]));
    drop(waiting);
    assert_eq!(in_use(), (1, 0, [0, 0, 0]));

    // Let through while waiting, and not told yet.
    let mut waiting = tokio_test::task::spawn(tower::Service::call(&mut service, call(1, 1)));
    tokio_test::assert_pending!(waiting.poll());
    let mut other = tokio_test::task::spawn(tower::Service::call(&mut service, call(1, 1)));
    tokio_test::assert_pending!(other.poll());
    advance(MINUTE).await;
    // Whoever polls first lets the first in the queue through.
    tokio_test::assert_pending!(other.poll());
    assert!(waiting.is_woken());
    assert_eq!(in_use(), (1, 1, [0, 1, 0]));
    drop(waiting);
    assert_eq!(in_use(), (1, 1, [0, 0, 0]));
    assert!(other.is_woken());
    drop(other);
    assert_eq!(in_use(), (0, 0, [0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_before_the_call_costs_nothing() {
    let limiter = tokens(10_000);
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let mut service = QuotaLayer::new(limiter.clone()).layer(service);
    handle.send_error("broken");
    let mut response = tokio_test::task::spawn(tower::Service::call(&mut service, call(1, 1)));
    tokio_test::assert_ready_err!(response.poll());
    // Although its future is still there.
    assert_eq!(used(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_admitted_counts_from_when_it_is_sent() {
    let limiter = requests(1);
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let mut service = QuotaLayer::new(limiter.clone()).layer(service);
    handle.allow(0);
    let mut slow = tokio_test::task::spawn(tower::Service::call(&mut service, call(1, 1)));
    tokio_test::assert_pending!(slow.poll());
    // The inner service takes more than a window to get ready. The place is held all the while ...
    advance(MINUTE * 2).await;
    let context = Context::new();
    let demand = Demand::new(1).with_max_output_tokens(1);
    let refused = limiter.try_reserve(&target(), &demand, &context);
    assert_eq!(refused.unwrap_err().limit, Limit::RequestsPerMinute);
    handle.allow(1);
    tokio_test::assert_pending!(slow.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(Answer::new(()));
    tokio_test::assert_ready_ok!(slow.poll());
    // ... and for a window after it was sent.
    advance(MINUTE - Duration::from_millis(1)).await;
    assert!(limiter.try_reserve(&target(), &demand, &context).is_err());
    advance(Duration::from_millis(1)).await;
    assert!(limiter.try_reserve(&target(), &demand, &context).is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_inner_permit_is_held_while_waiting() {
    let limiter = requests(1);
    let inner = tower::ServiceBuilder::new()
        .layer(QuotaLayer::new(limiter))
        .concurrency_limit(1)
        .service_fn(|_: Call| async { Ok::<_, BoxError>(Answer::new(())) });
    inner.clone().oneshot(call(1, 1)).await.unwrap();
    let waits = tokio::spawn(inner.clone().oneshot(call(1, 1)));
    tokio::task::yield_now().await;
    // Another model's quota is free, and so is the one permit.
    let other = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
    let free = Invocation::new(other, ()).with_demand(Demand::new(1).with_max_output_tokens(1));
    let start = Instant::now();
    inner.oneshot(free).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    waits.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn clones_of_layer_and_service_share_the_quota() {
    let layer = QuotaLayer::new(requests(1));
    let inner = tower::service_fn(|_: Call| async { Ok::<_, BoxError>(Answer::new(())) });
    let services = [
        layer.layer(inner),
        layer.clone().layer(inner),
        layer.layer(inner).clone(),
    ];
    let start = Instant::now();
    for service in services {
        service.oneshot(call(1, 1)).await.unwrap();
    }
    assert_eq!(start.elapsed(), MINUTE * 2);
}

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
async fn more_urgent_classes_go_first() {
    let limiter = patient();
    limiter
        .try_reserve(&target(), &Demand::new(1), &Context::new())
        .unwrap()
        .sent();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for priority in [Priority::Batch, Priority::Normal, Priority::Interactive] {
        let (limiter, order) = (limiter.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let context = Context::new().with_priority(priority);
            let mut reservation = limiter
                .reserve(&target(), &Demand::new(1), &context)
                .await
                .unwrap();
            reservation.sent();
            order.lock().unwrap().push(priority);
        }));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), Priority::ALL);
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_of_waits_refusals_and_costs() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);
    impl Log {
        fn push(&self, line: String) {
            self.0.lock().unwrap().push(line);
        }
    }
    impl Observe for Log {
        fn admitted(&self, key: &QuotaKey, waited: Duration) {
            self.push(format!("{key} admitted after {waited:?}"));
        }
        fn refused(&self, _: &QuotaKey, exhausted: &Exhausted, waited: Duration) {
            self.push(format!("refused {} after {waited:?}", exhausted.asked));
        }
        fn settled(&self, _: &QuotaKey, reserved: u64, cost: Option<u64>) {
            self.push(format!("settled {cost:?} of {reserved}"));
        }
        fn throttled(&self, _: &QuotaKey) {
            self.push("throttled".to_owned());
        }
    }
    let log = Log::default();
    let limits = Limits::new().with_tokens_per_minute(100);
    let limiter = builder(LimitTable::new().with(QuotaPattern::any(), limits))
        .observe(log.clone())
        .build()
        .unwrap();
    let (target, context) = (target(), Context::new());
    let demand = Demand::new(50).with_max_output_tokens(50);
    let mut first = limiter.reserve(&target, &demand, &context).await.unwrap();
    first.sent();
    let mut second = limiter.reserve(&target, &demand, &context).await.unwrap();
    second.sent();
    first.complete(&Completion::complete(Some(usage(50, 1))));
    second.fail(&Fault::new(FaultKind::Validation));
    let huge = limiter.reserve(&target, &Demand::new(101), &context).await;
    assert!(huge.is_err());
    let third = limiter.try_reserve(&target, &demand, &context).unwrap();
    third.fail(&Fault::new(FaultKind::ThrottledTokens));
    let lines = log.0.lock().unwrap();
    assert_eq!(
        lines.as_slice(),
        [
            "us-east-1/on-demand/anthropic.claude-sonnet-4-20250514-v1:0 admitted after 0ns",
            "us-east-1/on-demand/anthropic.claude-sonnet-4-20250514-v1:0 admitted after 60s",
            "settled Some(55) of 100",
            "settled Some(0) of 100",
            "refused 64101 after 0ns",
            "us-east-1/on-demand/anthropic.claude-sonnet-4-20250514-v1:0 admitted after 0ns",
            "throttled",
            "settled Some(0) of 100",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn large_prompts_are_counted_before_they_are_admitted() {
    #[derive(Clone)]
    struct Slowly;
    impl CountTokens<Call> for Slowly {
        type Future = std::pin::Pin<Box<dyn Future<Output = Option<u64>> + Send>>;
        fn count(&self, _: &Call, estimate: u64) -> Option<Self::Future> {
            (estimate > 1_000).then(|| -> Self::Future {
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    (estimate < 5_000).then_some(1_234)
                })
            })
        }
    }
    let limiter = tokens(100_000);
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let service = QuotaLayer::new(limiter.clone())
        .with_count(Slowly)
        .layer(service);
    handle.allow(9);
    // Small ones are not counted, and counting holds nothing.
    for (input, reserved, after) in [(1_000, 1_000, 0), (3_000, 1_234, 1), (6_000, 6_000, 1)] {
        let before = used(&limiter_or_none(&limiter));
        let start = Instant::now();
        let response = tokio::spawn(service.clone().oneshot(call(input, 0)));
        tokio::task::yield_now().await;
        if after > 0 {
            assert_eq!(used(&limiter), before);
        }
        let (_, send) = handle.next_request().await.unwrap();
        assert_eq!(used(&limiter), before + reserved);
        assert_eq!(start.elapsed().as_secs(), after);
        send.send_error(Fault::new(FaultKind::Internal));
        response.await.unwrap().unwrap_err();
    }
}

/// So that there is a snapshot to look at.
fn limiter_or_none(limiter: &Limiter) -> Limiter {
    if limiter.snapshot(&target()).is_none() {
        drop(limiter.try_reserve(&target(), &Demand::new(1), &Context::new()));
    }
    limiter.clone()
}

#[tokio::test(start_paused = true)]
async fn an_unset_max_tokens_counts_the_models_maximum_or_is_right_sized() {
    let unbounded = || Invocation::new(target(), ()).with_demand(Demand::new(10));
    let limiter = tokens(1_000_000);
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let service = QuotaLayer::new(limiter.clone()).layer(service);
    let response = tokio::spawn(service.oneshot(unbounded()));
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(used(&limiter), 64_010);
    assert_eq!(
        tower_bedrock_core::HasDemand::demand(&request).max_output_tokens(),
        None
    );
    send.send_response(Answer::new(()).with_usage(usage(10, 5)));
    response.await.unwrap().unwrap();

    let limiter = Limiter::builder()
        .limits(LimitTable::new().with(
            QuotaPattern::any(),
            Limits::new().with_tokens_per_minute(10_000_000),
        ))
        .right_size(RightSizing {
            after: 50,
            ..RightSizing::default()
        })
        .build()
        .unwrap();
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let service = QuotaLayer::new(limiter).layer(service);
    for i in 0..60_u64 {
        let response = tokio::spawn(service.clone().oneshot(unbounded()));
        let (request, send) = handle.next_request().await.unwrap();
        let bound = tower_bedrock_core::HasDemand::demand(&request).max_output_tokens();
        // Outputs are 400 to 500: twice their 99th percentile is about a thousand.
        match bound {
            None => assert!(i < 50),
            Some(bound) => assert!(i >= 50 && (900..1_200).contains(&bound), "{bound}"),
        }
        let output = 400 + (i * 37) % 100;
        send.send_response(Answer::new(()).with_usage(usage(10, output)));
        response.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn polling_for_readiness_never_touches_the_inner_service() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Call, Reply, _>(QuotaLayer::new(requests(1)));
    handle.allow(0);
    for _ in 0..3 {
        assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    }
    handle.allow(1);
    let response = tokio::spawn(service.call(call(1, 1)));
    serve!(handle, Answer::new(()));
    response.await.unwrap().unwrap();
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

/// Bedrock deducts the true input when a call starts, and what the output burns beyond that when it ends.
#[tokio::test(start_paused = true)]
async fn an_overshoot_leaves_the_window_a_period_after_bedrock_charged_it() {
    let limiter = tokens(10_000);
    let demand = Demand::new(1_500).with_max_output_tokens(1_000);
    let reserved = limiter.reserve(&target(), &demand, &Context::new()).await;
    let mut reserved = reserved.unwrap();
    // The first estimate is the demand's own; 900 of the 2,500 tokens are not there.
    assert_eq!(reserved.tokens(), 2_500);
    reserved.sent();
    advance(Duration::from_secs(10)).await;
    // 600 + 5 x 500.
    reserved.complete(&Completion::complete(Some(usage(600, 500))));
    assert_eq!(used(&limiter), 3_100);
    // 1,600 were in use from the start, and leave with it; 1,500 came at the end.
    advance(Duration::from_millis(50_500)).await;
    assert_eq!(used(&limiter), 1_500);
    advance(Duration::from_secs(10)).await;
    assert_eq!(used(&limiter), 0);
}
