//! What calls cost in the end, and what comes back.

use super::*;

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
