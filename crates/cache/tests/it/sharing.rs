//! Identical calls at once.

use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_bedrock_cache::{CacheLayer, Cacheable};
use tower_bedrock_core::{Answer, BoxError, Completion, Context, Fault, FaultKind, HasCompletion};
use tower_test::mock;

use crate::support::{
    Call, KeyOf, Log, Response, Script,
    Told::{Hit, Missed, Shared},
    ask, builder, call, key, layer, secs,
};

#[tokio::test(start_paused = true)]
async fn identical_calls_in_flight_are_one_where_that_is_asked_for() {
    let log = Log::default();
    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let cache = layer(builder().share_in_flight(true).observer(log.clone()));
    let service = cache.layer(script.service());
    let answers = [call("hello"), call("hello"), call("hi"), call("hello")]
        .map(|call| tokio::spawn(service.clone().oneshot(call)));
    let mut texts = Vec::new();
    for answer in answers {
        texts.push(answer.await.unwrap().unwrap().into_output());
    }
    assert_eq!(script.calls(), 2);
    assert_eq!(log.told(), [Missed, Missed, Shared, Shared]);
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[3]);
    assert_ne!(texts[0], texts[2]);

    // Afterwards it asks again: sharing is not caching.
    service.oneshot(call("hello")).await.unwrap();
    assert_eq!(script.calls(), 3);
    assert_eq!(log.told(), [Missed]);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_call_that_fails_each_ask() {
    let log = Log::default();
    let script = Script::new(0, FaultKind::Unavailable);
    let cache = layer(builder().share_in_flight(true).observer(log.clone()));
    let service = cache.layer(script.service());
    let calls = [(); 3].map(|()| tokio::spawn(service.clone().oneshot(call("hello"))));
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    assert_eq!(script.calls(), 3);
    assert_eq!(log.told(), [Missed; 3]);
}

#[tokio::test]
async fn when_the_caller_who_asks_goes_away_one_of_the_others_asks() {
    let log = Log::default();
    let (mock, mut handle) = mock::pair::<Call, Response>();
    let mut service = layer(builder().share_in_flight(true).observer(log.clone())).layer(mock);
    handle.allow(3);
    let mut leader = task::spawn(service.ready().await.unwrap().call(call("hello")));
    let mut others = [(); 2].map(|()| task::spawn(service.clone().oneshot(call("hello"))));
    assert_pending!(leader.poll());
    let abandoned = handle.next_request().await.unwrap();
    for other in &mut others {
        assert_pending!(other.poll());
    }
    // One that does not wait for the end is told by nothing.
    let mut gone = task::spawn(service.clone().oneshot(call("hello")));
    assert_pending!(gone.poll());
    drop(gone);
    assert_eq!(log.told(), [Missed]);

    drop(leader);
    drop(abandoned);
    for other in &mut others {
        assert!(other.is_woken());
        assert_pending!(other.poll());
    }
    // Only one of them.
    let (_, reply) = handle.next_request().await.unwrap();
    assert_pending!(task::spawn(handle.next_request()).poll());
    reply.send_response(Answer::new("hello yourself".to_owned()));
    for other in &mut others {
        assert_eq!(assert_ready_ok!(other.poll()).output(), "hello yourself");
    }
    assert_eq!(log.told(), [Missed, Shared]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_another_call_beyond_a_deadline_of_ones_own() {
    let log = Log::default();
    let (mock, mut handle) = mock::pair::<Call, Response>();
    let mut service = layer(builder().share_in_flight(true).observer(log.clone())).layer(mock);
    handle.allow(2);
    let mut leader = task::spawn(service.ready().await.unwrap().call(call("hello")));
    assert_pending!(leader.poll());
    let _unanswered = handle.next_request().await.unwrap();

    let deadline = Instant::now() + secs(2);
    let hurried = call("hello").with_context(Context::new().with_deadline(deadline));
    let mut follower = task::spawn(service.oneshot(hurried));
    assert_pending!(follower.poll());
    advance(secs(2)).await;
    assert!(follower.is_woken());
    assert_pending!(follower.poll());
    // It asks for itself. What stands inside knows what to do at a deadline.
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(Fault::new(FaultKind::DeadlineExceeded));
    assert_ready_err!(follower.poll());
    assert_eq!(log.told(), [Missed, Missed]);
}

/// A stream as the cache sees it: whole only later, if ever.
struct Later {
    keep: Option<Box<dyn FnOnce(&'static str) + Send>>,
}

impl HasCompletion for Later {
    fn on_completion<F: FnOnce(&Completion) + Send + 'static>(&mut self, _: F) {}
}

impl Cacheable for Later {
    type Kept = &'static str;

    fn when_whole<F: FnOnce(&'static str) + Send + 'static>(mut self, keep: F) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }

    fn again(_: &'static str) -> Self {
        Self { keep: None }
    }
}

#[tokio::test]
async fn a_stream_is_kept_when_it_has_ended_and_not_shared_before() {
    let log = Log::default();
    let cache = CacheLayer::builder(key as KeyOf, |kept: &&'static str| kept.len())
        .observer(log.clone())
        .fresh_for(secs(60))
        .share_in_flight(true)
        .build()
        .unwrap();
    let service = cache.layer(service_fn(|_: Call| async {
        Ok::<_, BoxError>(Later { keep: None })
    }));
    // One that breaks off is not kept, and one that is under way keeps nobody waiting.
    drop(service.clone().oneshot(call("hello")).await.unwrap());
    let first = service.clone().oneshot(call("hello")).await.unwrap();
    let second = service.clone().oneshot(call("hello")).await.unwrap();
    assert!(second.keep.is_some(), "it asked for itself");
    assert_eq!(log.told(), [Missed; 3]);
    first.keep.unwrap()("whole");
    let third = service.oneshot(call("hello")).await.unwrap();
    assert!(third.keep.is_none(), "it was given what is kept");
    assert!(matches!(log.told()[..], [Hit(_)]));
}

#[tokio::test]
async fn no_permit_is_held_for_an_answer_that_is_kept() {
    let echo = service_fn(|_: Call| async { Ok::<_, BoxError>(Answer::new("hello".to_owned())) });
    let inner = ConcurrencyLimitLayer::new(1).layer(echo);
    let mut service = layer(builder().fresh_for(secs(60))).layer(inner);
    let mut other = service.clone();
    for _ in 0..2 {
        ask(&mut service, call("hello")).await.unwrap();
    }
    assert_ready_ok!(task::spawn(other.ready()).poll());
}

#[tokio::test]
async fn what_nobody_could_be_given_is_not_kept() {
    let echo = service_fn(|_: Call| async { Ok::<_, BoxError>(Answer::new("hello".to_owned())) });
    let cache = layer(builder().stale_for(Duration::ZERO));
    cache.layer(echo).oneshot(call("hello")).await.unwrap();
    assert!(format!("{cache:?}").contains("entries: 0"));
}
