//! What the limiter tells and is told: observers, exact counts, bounds on the output.

use super::*;

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

/// What a call has reserved is given back if whoever is told of it panics.
#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_leaks_nothing() {
    struct Panics;
    impl Observe for Panics {
        fn admitted(&self, _: &QuotaKey, _: Duration) {
            panic!("as told");
        }
    }
    panics_and_leaks_nothing(Panics).await;
}

/// A call whose observer panics ends so, and is in no book.
async fn panics_and_leaks_nothing(observer: impl Observe) {
    let limits = Limits::new().with_tokens_per_minute(100_000);
    let table = LimitTable::new().with(QuotaPattern::any(), limits);
    let limiter = builder(table).observe(observer).build().unwrap();
    let asking = limiter.clone();
    let panicked = tokio::spawn(async move {
        let (target, demand, context) = (target(), Demand::new(1), Context::new());
        drop(asking.reserve(&target, &demand, &context).await);
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(used(&limiter), 0);
    assert_eq!(limiter.snapshots()[0].calls_in_flight, 0);
}

/// Nor does it end the process where it panics once more, of a call that is given back while the first panic unwinds.
#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_twice_ends_no_more_than_the_call() {
    struct Panics(Arc<Mutex<()>>);
    impl Observe for Panics {
        fn admitted(&self, _: &QuotaKey, _: Duration) {
            let _held = self.0.lock().unwrap();
            panic!("as told");
        }
        fn settled(&self, _: &QuotaKey, _: u64, _: Option<u64>) {
            drop(self.0.lock().unwrap());
        }
    }
    panics_and_leaks_nothing(Panics(Arc::default())).await;
}

/// Who is told of what calls cost is told, too, of those whose own caller panics.
#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_a_call_whose_caller_panics() {
    struct Count(Arc<Mutex<Vec<u64>>>);
    impl Observe for Count {
        fn settled(&self, _: &QuotaKey, reserved: u64, _: Option<u64>) {
            self.0.lock().unwrap().push(reserved);
        }
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let limits = Limits::new().with_tokens_per_minute(100_000);
    let table = LimitTable::new().with(QuotaPattern::any(), limits);
    let limiter = builder(table).observe(Count(Arc::clone(&told)));
    let limiter = limiter.build().unwrap();
    let panicked = tokio::spawn(async move {
        let demand = Demand::new(1).with_max_output_tokens(1);
        let _held = limiter.try_reserve(&target(), &demand, &Context::new());
        panic!("by itself");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(*told.lock().unwrap(), [2]);
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
