//! Who is let through, when, and what is left of a call that is dropped.

use super::*;

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
