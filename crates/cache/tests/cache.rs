//! The layer as a whole, around a scripted service, in paused time.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_bedrock_cache::{CacheLayer, Cacheable, Key};
use tower_bedrock_core::{
    Answer, BoxError, Completion, Context, Degraded, Fault, FaultKind, HasCompletion, HasFault,
    HasTarget, Invocation, Target, TokenUsage,
};
use tower_test::mock;

type Call = Invocation<&'static str>;
type Response = Answer<String>;

fn call(prompt: &'static str) -> Call {
    Invocation::new(
        Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap(),
        prompt,
    )
}

fn key(call: &Call) -> Option<Key> {
    // A request may forbid it.
    (*call.input() != "secret").then(|| Key::of(call, "Converse", call.input().as_bytes()))
}

type KeyOf = fn(&Call) -> Option<Key>;
type BytesOf = fn(&String) -> usize;
type Builder = tower_bedrock_cache::Builder<KeyOf, BytesOf>;

fn builder() -> Builder {
    CacheLayer::<_, _, String>::builder(key as KeyOf, String::len as BytesOf)
}

fn layer(builder: Builder) -> CacheLayer<KeyOf, BytesOf, String> {
    builder.build().unwrap()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Answers with the number of the call, and fails from the given one on.
#[derive(Clone)]
struct Script {
    calls: Arc<AtomicU32>,
    fails_from: u32,
    with: FaultKind,
}

impl Script {
    fn new(fails_from: u32, with: FaultKind) -> Self {
        Self {
            calls: Arc::default(),
            fails_from,
            with,
        }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    fn service(
        &self,
    ) -> impl Service<Call, Response = Response, Error = BoxError, Future: Send> + Clone + use<>
    {
        let Self {
            calls,
            fails_from,
            with,
        } = self.clone();
        service_fn(move |_: Call| {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(secs(1)).await;
                if number >= fails_from {
                    return Err(BoxError::from(Fault::new(with)));
                }
                let usage = TokenUsage {
                    input: 1,
                    output: 1,
                    ..TokenUsage::default()
                };
                Ok(Answer::new(format!("answer {number}")).with_usage(usage))
            }
        })
    }
}

// === stale ===

#[tokio::test(start_paused = true)]
async fn a_stale_answer_stands_in_for_a_failed_call_and_says_so() {
    let script = Script::new(1, FaultKind::Unavailable);
    let mut service = layer(builder()).layer(script.service());
    service
        .ready()
        .await
        .unwrap()
        .call(call("hello"))
        .await
        .unwrap();

    advance(secs(3_600)).await;
    let answer = service
        .ready()
        .await
        .unwrap()
        .call(call("hello"))
        .await
        .unwrap();
    assert_eq!(answer.output(), "answer 0");
    assert_eq!(answer.usage(), None, "it has used no tokens");
    let degraded = answer.history().unwrap().degraded;
    // One second for the call that failed.
    assert_eq!(degraded, Some(Degraded::with_age(secs(3_601))));
    assert_eq!(script.calls(), 2);

    // Another call has no answer.
    let error = service
        .ready()
        .await
        .unwrap()
        .call(call("hi"))
        .await
        .unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_not_served_when_it_is_too_old_or_the_mistake_is_the_callers() {
    let script = Script::new(1, FaultKind::Unavailable);
    let mut service = layer(builder().stale_for(secs(60))).layer(script.service());
    service
        .ready()
        .await
        .unwrap()
        .call(call("hello"))
        .await
        .unwrap();
    advance(secs(60)).await;
    service
        .ready()
        .await
        .unwrap()
        .call(call("hello"))
        .await
        .unwrap_err();

    for kind in [
        FaultKind::Validation,
        FaultKind::AccessDenied,
        FaultKind::Unknown,
    ] {
        let script = Script::new(1, kind);
        let mut service = layer(builder()).layer(script.service());
        service
            .ready()
            .await
            .unwrap()
            .call(call("hello"))
            .await
            .unwrap();
        let error = service
            .ready()
            .await
            .unwrap()
            .call(call("hello"))
            .await
            .unwrap_err();
        assert_eq!(error.fault().kind(), kind);
    }
}

// === fresh ===

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_served_only_where_that_is_asked_for() {
    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let mut service = layer(builder()).layer(script.service());
    for number in 0..2 {
        let answer = service
            .ready()
            .await
            .unwrap()
            .call(call("hello"))
            .await
            .unwrap();
        assert_eq!(*answer.output(), format!("answer {number}"));
    }

    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let mut service = layer(builder().fresh_for(secs(60))).layer(script.service());
    for (age, expected) in [(0, "answer 0"), (60, "answer 0"), (1, "answer 1")] {
        advance(secs(age)).await;
        let answer = service
            .ready()
            .await
            .unwrap()
            .call(call("hello"))
            .await
            .unwrap();
        assert_eq!(answer.output(), expected);
        assert_eq!(answer.history().unwrap().degraded, None);
    }
}

// === what is kept ===

#[tokio::test(start_paused = true)]
async fn no_answer_crosses_tenants_and_none_is_kept_that_a_request_forbids() {
    let tenant = |name| call("hello").with_context(Context::new().with_tenant(name));
    let script = Script::new(2, FaultKind::Unavailable);
    let mut service = layer(builder()).layer(script.service());
    service
        .ready()
        .await
        .unwrap()
        .call(tenant("a"))
        .await
        .unwrap();
    service
        .ready()
        .await
        .unwrap()
        .call(call("secret"))
        .await
        .unwrap();

    service
        .ready()
        .await
        .unwrap()
        .call(tenant("b"))
        .await
        .unwrap_err();
    service
        .ready()
        .await
        .unwrap()
        .call(call("hello"))
        .await
        .unwrap_err();
    service
        .ready()
        .await
        .unwrap()
        .call(call("secret"))
        .await
        .unwrap_err();
    let answer = service
        .ready()
        .await
        .unwrap()
        .call(tenant("a"))
        .await
        .unwrap();
    assert_eq!(answer.output(), "answer 0");
}

#[tokio::test]
async fn a_stand_in_is_not_kept() {
    let stand_ins: [fn(&mut Response); 2] = [
        |answer| answer.history_mut().unwrap().degraded = Some(Degraded::default()),
        |answer| {
            let other = Target::parse("us-east-1", "amazon.nova-pro-v1:0").unwrap();
            answer.history_mut().unwrap().served_by = Some(other);
        },
    ];
    for stand_in in stand_ins {
        let calls = Arc::new(AtomicU32::new(0));
        let inner = service_fn(move |_: Call| {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                let mut answer = Answer::new("hello".to_owned());
                stand_in(&mut answer);
                if number > 0 {
                    return Err(BoxError::from(Fault::new(FaultKind::Unavailable)));
                }
                Ok(answer)
            }
        });
        let mut service = layer(builder()).layer(inner);
        service
            .ready()
            .await
            .unwrap()
            .call(call("hello"))
            .await
            .unwrap();
        service
            .ready()
            .await
            .unwrap()
            .call(call("hello"))
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_bytes() {
    let echo =
        service_fn(
            |call: Call| async move { Ok::<_, BoxError>(Answer::new(call.input().repeat(100))) },
        );
    let cache = layer(builder().max_bytes(2_000).fresh_for(secs(60)));
    let mut service = cache.layer(echo);
    for prompt in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff"] {
        service
            .ready()
            .await
            .unwrap()
            .call(call(prompt))
            .await
            .unwrap();
    }
    let shown = format!("{cache:?}");
    let held: u64 = shown
        .split_once("bytes: ")
        .and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
        .unwrap();
    assert!((1..=2_000).contains(&held), "{shown}");
    assert!(!shown.contains("aaaa"), "no answer is shown");

    cache.clear();
    assert!(format!("{cache:?}").contains("entries: 0"));
}

#[test]
fn a_setting_out_of_its_range_is_refused_by_name() {
    let error = builder().max_bytes(10).build::<String>().unwrap_err();
    assert_eq!(error.to_string(), "max_bytes is 10: expected at least 1024");
    let error = builder()
        .stale_for(Duration::MAX)
        .build::<String>()
        .unwrap_err();
    assert!(error.to_string().starts_with("stale_for is "), "{error}");
}

// === sharing ===

#[tokio::test(start_paused = true)]
async fn identical_calls_in_flight_are_one_where_that_is_asked_for() {
    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let service = layer(builder().share_in_flight(true)).layer(script.service());
    let answers = [call("hello"), call("hello"), call("hi"), call("hello")]
        .map(|call| tokio::spawn(service.clone().oneshot(call)));
    let mut texts = Vec::new();
    for answer in answers {
        texts.push(answer.await.unwrap().unwrap().into_output());
    }
    assert_eq!(script.calls(), 2);
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[3]);
    assert_ne!(texts[0], texts[2]);

    // Afterwards it asks again: sharing is not caching.
    service.oneshot(call("hello")).await.unwrap();
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_call_that_fails_each_ask() {
    let script = Script::new(0, FaultKind::Unavailable);
    let service = layer(builder().share_in_flight(true)).layer(script.service());
    let calls = [(); 3].map(|()| tokio::spawn(service.clone().oneshot(call("hello"))));
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    assert_eq!(script.calls(), 3);
}

#[tokio::test]
async fn when_the_caller_who_asks_goes_away_one_of_the_others_asks() {
    let (mock, mut handle) = mock::pair::<Call, Response>();
    let mut service = layer(builder().share_in_flight(true)).layer(mock);
    handle.allow(3);
    let mut leader = task::spawn(service.ready().await.unwrap().call(call("hello")));
    let mut others = [(); 2].map(|()| task::spawn(service.clone().oneshot(call("hello"))));
    assert_pending!(leader.poll());
    let abandoned = handle.next_request().await.unwrap();
    for other in &mut others {
        assert_pending!(other.poll());
    }

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
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_another_call_beyond_a_deadline_of_ones_own() {
    let (mock, mut handle) = mock::pair::<Call, Response>();
    let mut service = layer(builder().share_in_flight(true)).layer(mock);
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
    let cache = CacheLayer::builder(key as KeyOf, |kept: &&'static str| kept.len())
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
    first.keep.unwrap()("whole");
    let third = service.oneshot(call("hello")).await.unwrap();
    assert!(third.keep.is_none(), "it was given what is kept");
}

#[tokio::test]
async fn no_permit_is_held_for_an_answer_that_is_kept() {
    let echo = service_fn(|_: Call| async { Ok::<_, BoxError>(Answer::new("hello".to_owned())) });
    let inner = ConcurrencyLimitLayer::new(1).layer(echo);
    let mut service = layer(builder().fresh_for(secs(60))).layer(inner);
    let mut other = service.clone();
    for _ in 0..2 {
        service
            .ready()
            .await
            .unwrap()
            .call(call("hello"))
            .await
            .unwrap();
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

// === the responder ===

#[tokio::test(start_paused = true)]
async fn the_responder_gives_what_the_layer_has_kept() {
    let cache = layer(builder());
    let script = Script::new(u32::MAX, FaultKind::Unknown);
    let service = cache.layer(script.service());
    let responder = cache.responder::<Response>();
    responder.clone().oneshot(call("hello")).await.unwrap_err();

    service.oneshot(call("hello")).await.unwrap();
    advance(secs(5)).await;
    let answer = responder.oneshot(call("hello")).await.unwrap();
    let degraded = answer.history().unwrap().degraded;
    assert_eq!(degraded, Some(Degraded::with_age(secs(5))));
    assert_eq!(answer.output(), "answer 0");
    assert_eq!(call("hello").target().region().as_str(), "us-east-1");
}
