//! What is kept of a call, what is told of it, and what is not.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tower::{Layer, Service, ServiceExt};
use tower_bedrock_core::{
    Answer, BoxError, Fault, FaultKind, GaveUp, HasCompletion, HasFault, HasTarget, History,
    Invocation, Target,
};
use tower_bedrock_retry::{Policy, RetryLayer};

use crate::common::{
    End, Event, Record, Request, Script, after, end, layer, request, rng, run, secs, target,
};

/// A request that counts how often it was cloned.
#[derive(Debug)]
struct Counted {
    inner: Invocation<Vec<u8>>,
    clones: Arc<AtomicUsize>,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self {
            inner: self.inner.clone(),
            clones: Arc::clone(&self.clones),
        }
    }
}

impl HasTarget for Counted {
    fn target(&self) -> &Target {
        self.inner.target()
    }

    fn set_target(&mut self, target: Target) {
        self.inner.set_target(target);
    }
}

async fn clones(max_attempts: u32, faults: usize) -> usize {
    let policy = Policy::builder()
        .max_attempts(max_attempts)
        .build()
        .unwrap();
    let script = Script::of(vec![FaultKind::Unavailable; faults]);
    let service = script.map_request(|request: Counted| request.inner);
    let clones = Arc::new(AtomicUsize::new(0));
    let request = Counted {
        inner: Invocation::new(target(), Vec::new()),
        clones: Arc::clone(&clones),
    };
    let _ = layer(policy).layer(service).oneshot(request).await;
    clones.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn the_request_is_cloned_only_where_a_retry_can_follow() {
    assert_eq!(clones(1, 0).await, 0);
    assert_eq!(clones(1, 9).await, 0);
    assert_eq!(clones(5, 0).await, 1);
    assert_eq!(clones(5, 1).await, 2);
    // The fifth attempt takes the request itself.
    assert_eq!(clones(5, 9).await, 4);
}

/// So that those further in can say so, and leave it to this layer to tell of those that fail.
#[tokio::test(start_paused = true)]
async fn each_attempt_knows_its_number() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let script = Script::always(FaultKind::Unavailable);
    let numbers = Arc::clone(&seen);
    let service = script.map_request(move |request: Request| {
        numbers.lock().unwrap().push(request.context().attempt());
        request
    });
    let policy = Policy::builder().max_attempts(3).build().unwrap();
    let call = layer(policy).layer(service).oneshot(request());
    call.await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), [Some(1), Some(2), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_a_policy_further_in_counted_are_added_up() {
    let faults = Arc::new(AtomicUsize::new(0));
    let inner = tower::service_fn(move |_: Request| {
        let n = faults.fetch_add(1, Ordering::Relaxed);
        async move {
            let attempts = |history: &mut History| history.attempts = 3;
            if n == 0 {
                let error = BoxError::from(Fault::new(FaultKind::Unavailable));
                return Err(error.update_history(attempts));
            }
            let mut answer = Answer::new("answer");
            attempts(answer.history_mut().unwrap());
            Ok(answer)
        }
    });
    let end = end(layer(Policy::default())
        .layer(inner)
        .oneshot(request())
        .await);
    assert_eq!(end, End::Answered { attempts: 6 });
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_what_happens() {
    let record = Arc::new(Record::default());
    let policy = Policy::builder().plan(after(secs(3))).max_attempts(2);
    let layer = RetryLayer::builder(policy.build().unwrap())
        .observer(Arc::clone(&record))
        .build();
    run(&layer, &Script::always(FaultKind::Internal), request()).await;
    run(&layer, &Script::of([FaultKind::Validation]), request()).await;
    run(&layer, &Script::default(), request()).await;
    assert_eq!(
        record.events(),
        [
            Event::Failed(target(), FaultKind::Internal, 1),
            Event::WillRetry(secs(3)),
            Event::Failed(target(), FaultKind::Internal, 2),
            Event::GaveUp(2, GaveUp::MaxAttempts),
            Event::Failed(target(), FaultKind::Validation, 1),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_trace() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let layer = RetryLayer::builder(Policy::default()).rng(rng(9)).build();
        let script = Script::of([FaultKind::ThrottledTokens; 4]);
        run(&layer, &script, request()).await;
        traces.push(script.waits());
    }
    assert_eq!(traces[0], traces[1]);
}

#[test]
fn futures_and_services_can_be_sent() {
    fn assert_send_sync<T: Send + Sync>(_: &T) {}
    fn assert_send<T: Send>(_: &T) {}
    let layer = RetryLayer::default();
    assert_send_sync(&layer);
    let mut service = layer.layer(Script::default());
    assert_send_sync(&service);
    assert_send(&service.call(request()));
}

#[test]
fn debug_shows_no_body() {
    let mut service = RetryLayer::default().layer(Script::default());
    let shown = format!("{service:?} {:?}", service.call(request()));
    assert!(!shown.contains("hello"), "{shown}");
    assert!(shown.contains("max_attempts: 5"), "{shown}");
}
