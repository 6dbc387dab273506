//! Time limits, in paused time.

#![allow(clippy::unwrap_used)]

use std::{future::pending, time::Duration};

use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock::{
    Answer, BoxError, Context, FaultKind, HasFault, HasTarget, Invocation, Target,
    timeout::{TimedOut, TimeoutLayer},
};

type Call = Invocation<&'static str>;

fn call() -> Call {
    Invocation::new(
        Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap(),
        "hello",
    )
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How a call ends that takes so long, and when.
async fn end(
    layer: TimeoutLayer,
    call: Call,
    takes: Duration,
) -> (Result<(), FaultKind>, Duration) {
    let start = Instant::now();
    let leaf = service_fn(move |_: Call| async move {
        sleep(takes).await;
        Ok::<_, BoxError>(Answer::new(()))
    });
    let result = layer.layer(leaf).oneshot(call).await;
    (
        result.map(drop).map_err(|error| error.fault().kind()),
        start.elapsed(),
    )
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_so_long_and_no_longer() {
    let layer = TimeoutLayer::attempt(seconds(10)).unwrap();
    assert_eq!(end(layer, call(), seconds(9)).await, (Ok(()), seconds(9)));
    // An answer that comes at the very moment counts.
    assert_eq!(end(layer, call(), seconds(10)).await, (Ok(()), seconds(10)));
    assert_eq!(
        end(layer, call(), seconds(11)).await,
        (Err(FaultKind::Timeout), seconds(10))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_expected_to_begin_sooner() {
    let stream = || call().with_context(Context::new().with_streaming(true));
    let slow = Err(FaultKind::Timeout);
    let layer = TimeoutLayer::attempt(seconds(10)).unwrap();
    assert_eq!(end(layer, stream(), seconds(9)).await.0, Ok(()));
    let layer = layer.with_first_event(seconds(3)).unwrap();
    assert_eq!(end(layer, stream(), seconds(3)).await, (Ok(()), seconds(3)));
    assert_eq!(end(layer, stream(), seconds(4)).await, (slow, seconds(3)));
    assert_eq!(end(layer, call(), seconds(4)).await.0, Ok(()));
    // It is one attempt all the same.
    let layer = layer.with_first_event(seconds(30)).unwrap();
    assert_eq!(end(layer, stream(), seconds(11)).await, (slow, seconds(10)));
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_at_the_earlier_of_its_deadline_and_the_limit() {
    let layer = TimeoutLayer::request(seconds(300)).unwrap();
    let with_deadline =
        |after| call().with_context(Context::new().with_deadline(Instant::now() + seconds(after)));
    let expired = Err(FaultKind::DeadlineExceeded);
    assert_eq!(
        end(layer, call(), seconds(301)).await,
        (expired, seconds(300))
    );
    assert_eq!(
        end(layer, with_deadline(60), seconds(301)).await,
        (expired, seconds(60))
    );
    assert_eq!(
        end(layer, with_deadline(600), seconds(301)).await,
        (expired, seconds(300))
    );
    assert_eq!(
        end(TimeoutLayer::deadline(), with_deadline(60), seconds(301)).await,
        (expired, seconds(60))
    );
    assert_eq!(
        end(TimeoutLayer::deadline(), call(), seconds(301)).await,
        (Ok(()), seconds(301))
    );
}

#[tokio::test(start_paused = true)]
async fn policies_inside_see_the_deadline_that_will_be_enforced() {
    let limit = Instant::now() + seconds(300);
    let leaf = service_fn(move |call: Call| async move {
        assert_eq!(call.context().deadline(), Some(limit));
        Ok::<_, BoxError>(Answer::new(()))
    });
    TimeoutLayer::REQUEST
        .layer(leaf)
        .oneshot(call())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_up_the_call_is_dropped() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let sender = std::sync::Mutex::new(Some(sender));
    let leaf = service_fn(move |_: Call| {
        let sender = sender.lock().unwrap().take();
        async move {
            let _sender = sender;
            pending::<Result<Answer<()>, BoxError>>().await
        }
    });
    let error = TimeoutLayer::ATTEMPT
        .layer(leaf)
        .oneshot(call())
        .await
        .unwrap_err();
    assert!(error.is::<TimedOut>());
    assert!(receiver.await.is_err(), "the sender is gone with the call");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_made() {
    let leaf =
        service_fn(|_: Call| async { unreachable!("called") as Result<Answer<()>, BoxError> });
    let late = call().with_context(Context::new().with_deadline(Instant::now()));
    let error = TimeoutLayer::REQUEST
        .layer(leaf)
        .oneshot(late)
        .await
        .unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_checked_when_it_is_made() {
    let message = TimeoutLayer::attempt(Duration::ZERO)
        .unwrap_err()
        .to_string();
    assert_eq!(message, "the attempt timeout is 0ns: expected more than 0s");
    TimeoutLayer::request(Duration::ZERO).unwrap_err();
    let forever = TimeoutLayer::attempt(Duration::MAX).unwrap();
    assert_eq!(end(forever, call(), seconds(1_000_000)).await.0, Ok(()));
    let forever = TimeoutLayer::request(Duration::MAX).unwrap();
    assert_eq!(end(forever, call(), seconds(1_000_000)).await.0, Ok(()));
}
