//! The layer around a service: what is sent, when, and what the caller gets.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

use tokio::time::{Duration, Instant};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bedrock_core::{
    Answer, BoxError, Context, Fault, FaultKind, GaveUp, HasCompletion, HasFault, HasTarget,
    History, Invocation, Target,
};
use tower_bedrock_retry::{Backoff, Budget, Jitter, Plan, Policy, RetryLayer, Schedule};
use tower_test::mock;

use crate::common::{
    End, Event, Record, Request, Response, Script, end, layer, millis, request, request_within,
    rng, run, secs, target,
};

/// Retries every kind that the default plan does after exactly this long.
fn after(delay: Duration) -> Plan {
    let backoff = Backoff::new(delay, delay).unwrap();
    let schedule = Schedule::new(backoff.with_jitter(Jitter::None));
    Plan::default()
        .iter()
        .fold(Plan::empty(), |plan, (kind, _)| plan.with(kind, schedule))
}

fn every(delay: Duration) -> RetryLayer {
    layer(Policy::builder().plan(after(delay)).build().unwrap())
}

// === what is sent, and when ===

#[tokio::test(start_paused = true)]
async fn an_answer_at_once_is_one_attempt() {
    let script = Script::default();
    let end = run(&layer(Policy::default()), &script, request()).await;
    assert_eq!(end, End::Answered { attempts: 1 });
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_transient_503_is_retried_at_once_and_then_after_longer_and_longer() {
    let script = Script::of([FaultKind::Unavailable; 4]);
    let end = run(&layer(Policy::default()), &script, request()).await;
    assert_eq!(end, End::Answered { attempts: 5 });
    let waits = script.waits();
    assert_eq!(waits[0], Duration::ZERO);
    // tokio's timers are in whole milliseconds.
    for (wait, most) in waits[1..].iter().zip([secs(2), secs(4), secs(8)]) {
        assert!(
            *wait > Duration::ZERO && *wait <= most + millis(1),
            "{wait:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn five_attempts_are_made_in_all() {
    let script = Script::always(FaultKind::ThrottledTokens);
    let end = run(&layer(Policy::default()), &script, request()).await;
    let kind = FaultKind::ThrottledTokens;
    let gave_up = Some(GaveUp::MaxAttempts);
    assert_eq!(
        end,
        End::Failed {
            attempts: 5,
            kind,
            gave_up
        }
    );
    assert_eq!(script.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_the_plan_leaves_out_is_not_retried() {
    for kind in FaultKind::ALL {
        let script = Script::of([kind]);
        let end = run(&layer(Policy::default()), &script, request()).await;
        if Plan::default().schedule(kind).is_some() {
            assert_eq!(end, End::Answered { attempts: 2 }, "{kind}");
        } else {
            // There was nothing to give up on.
            let gave_up = None;
            assert_eq!(
                end,
                End::Failed {
                    attempts: 1,
                    kind,
                    gave_up
                },
                "{kind}"
            );
            assert_eq!(script.calls(), 1, "{kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_is_that_of_the_last_attempt() {
    let script = Script::of([
        FaultKind::Unavailable,
        FaultKind::ThrottledTokens,
        FaultKind::Validation,
    ]);
    let end = run(&layer(Policy::default()), &script, request()).await;
    let kind = FaultKind::Validation;
    assert_eq!(
        end,
        End::Failed {
            attempts: 3,
            kind,
            gave_up: None
        }
    );
}

#[tokio::test(start_paused = true)]
async fn one_attempt_means_no_retry() {
    let policy = Policy::builder().max_attempts(1).build().unwrap();
    let script = Script::always(FaultKind::Unavailable);
    let end = run(&layer(policy), &script, request()).await;
    let (kind, gave_up) = (FaultKind::Unavailable, Some(GaveUp::MaxAttempts));
    assert_eq!(
        end,
        End::Failed {
            attempts: 1,
            kind,
            gave_up
        }
    );
}

// === readiness ===

#[tokio::test(start_paused = true)]
async fn a_retry_waits_until_the_service_is_ready() {
    let (mut service, mut handle) = mock::spawn_layer::<Request, Response, _>(every(secs(1)));
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request()));
    assert_pending!(call.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(Fault::new(FaultKind::Internal));
    assert_pending!(call.poll());

    tokio::time::advance(secs(60)).await;
    assert_pending!(call.poll());
    assert!(task::spawn(handle.next_request()).poll().is_pending());

    handle.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(Answer::new("answer"));
    assert_eq!(assert_ready_ok!(call.poll()).history().unwrap().attempts, 2);
}

/// As ConcurrencyLimit's permit is: a clone does not inherit it.
#[derive(Debug, Default)]
struct NeedsReadiness {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for NeedsReadiness {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request> for NeedsReadiness {
    type Response = Response;
    type Error = BoxError;
    type Future = Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called before it was ready"
        );
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        ready(match calls {
            0..=2 => Err(Fault::new(FaultKind::Transport).into()),
            _ => Ok(Answer::new("answer")),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_made_by_an_instance_that_was_polled_ready() {
    let service = layer(Policy::default()).layer(NeedsReadiness::default());
    let end = end(service.oneshot(request()).await);
    assert_eq!(end, End::Answered { attempts: 4 });
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_ends_the_call() {
    let (mut service, mut handle) = mock::spawn_layer::<Request, Response, _>(every(secs(1)));
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request()));
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(Fault::new(FaultKind::Internal));
    handle.send_error(Fault::new(FaultKind::Transport));
    assert_pending!(call.poll());
    tokio::time::advance(secs(1)).await;
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    assert_eq!(error.history().unwrap().attempts, 1);
    assert_eq!(error.history().unwrap().gave_up, None);
}

// === time ===

#[tokio::test(start_paused = true)]
async fn no_retry_starts_at_the_deadline_or_later() {
    let script = Script::always(FaultKind::Internal);
    let begun = Instant::now();
    let end = run(&every(secs(10)), &script, request_within(secs(30))).await;
    let (kind, gave_up) = (FaultKind::Internal, Some(GaveUp::Deadline));
    assert_eq!(
        end,
        End::Failed {
            attempts: 3,
            kind,
            gave_up
        }
    );
    // At 0, 10 and 20 s; and it does not sleep on what it knows to be in vain.
    assert_eq!(begun.elapsed(), secs(20));
}

#[tokio::test(start_paused = true)]
async fn no_retry_starts_with_less_time_than_an_attempt_needs() {
    let policy = Policy::builder()
        .plan(after(secs(10)))
        .min_attempt_time(secs(15));
    let script = Script::always(FaultKind::Internal);
    let end = run(
        &layer(policy.build().unwrap()),
        &script,
        request_within(secs(30)),
    )
    .await;
    let (kind, gave_up) = (FaultKind::Internal, Some(GaveUp::Deadline));
    assert_eq!(
        end,
        End::Failed {
            attempts: 2,
            kind,
            gave_up
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_long_past_still_allows_the_first_attempt() {
    let request = request().with_context(Context::new().with_deadline(Instant::now()));
    let script = Script::always(FaultKind::Unavailable);
    let end = run(&layer(Policy::default()), &script, request).await;
    let (kind, gave_up) = (FaultKind::Unavailable, Some(GaveUp::Deadline));
    assert_eq!(
        end,
        End::Failed {
            attempts: 1,
            kind,
            gave_up
        }
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_ends_with_the_deadline() {
    let record = Arc::new(Record::default());
    let layer = RetryLayer::builder(Policy::builder().plan(after(secs(1))).build().unwrap())
        .budget(Budget::builder().floor_per_second(0.0).build().unwrap())
        .observer(Arc::clone(&record))
        .build();
    let (mut service, mut handle) = mock::spawn_layer::<Request, Response, _>(layer.clone());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request_within(secs(30))));
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(Fault::new(FaultKind::Internal));
    assert_pending!(call.poll());
    tokio::time::advance(secs(29)).await;
    assert_pending!(call.poll());
    assert_eq!(layer.budget_left(&target()), Some(49));

    tokio::time::advance(secs(1)).await;
    assert!(call.is_woken());
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.fault().kind(), FaultKind::Internal);
    assert_eq!(error.history().unwrap().attempts, 1);
    assert_eq!(error.history().unwrap().gave_up, Some(GaveUp::Deadline));
    assert_eq!(
        record.events().last(),
        Some(&Event::GaveUp(1, GaveUp::Deadline))
    );
    // The retry was not made: its token is back.
    assert_eq!(layer.budget_left(&target()), Some(50));
}

/// The service becomes ready in the same instant as it becomes too late.
#[tokio::test(start_paused = true)]
async fn readiness_that_comes_too_late_starts_no_attempt() {
    let (mut service, mut handle) = mock::spawn_layer::<Request, Response, _>(every(secs(1)));
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request_within(secs(30))));
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(Fault::new(FaultKind::Internal));
    assert_pending!(call.poll());
    tokio::time::advance(secs(30)).await;
    handle.allow(1);
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.history().unwrap().gave_up, Some(GaveUp::Deadline));
    assert!(task::spawn(handle.next_request()).poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn no_retry_starts_after_max_elapsed() {
    let policy = Policy::builder()
        .plan(after(secs(10)))
        .max_elapsed(secs(25));
    let script = Script::always(FaultKind::Internal);
    let end = run(&layer(policy.build().unwrap()), &script, request()).await;
    let (kind, gave_up) = (FaultKind::Internal, Some(GaveUp::MaxElapsed));
    assert_eq!(
        end,
        End::Failed {
            attempts: 3,
            kind,
            gave_up
        }
    );
}

// === Retry-After ===

fn told(after: Duration) -> Fault {
    Fault::new(FaultKind::Overloaded).with_retry_after(after)
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_a_floor() {
    let script = Script::of([told(secs(5))]);
    run(&layer(Policy::default()), &script, request()).await;
    let wait = script.waits()[0];
    assert!(wait >= secs(5) && wait <= millis(6_001), "{wait:?}");

    // And no more than that: a backoff that is longer already stays as it is.
    let script = Script::of([told(secs(5))]);
    run(&every(secs(20)), &script, request()).await;
    assert_eq!(script.waits(), [secs(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_for_the_immediate_retry_too() {
    let fault = Fault::new(FaultKind::Unavailable).with_retry_after(secs(5));
    let script = Script::of([fault]);
    run(&layer(Policy::default()), &script, request()).await;
    assert!(script.waits()[0] >= secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_capped() {
    let policy = Policy::builder()
        .plan(after(secs(1)))
        .max_retry_after(secs(30));
    let script = Script::of([told(Duration::MAX)]);
    run(&layer(policy.build().unwrap()), &script, request()).await;
    assert_eq!(script.waits(), [secs(30)]);
}

#[tokio::test(start_paused = true)]
async fn callers_told_the_same_time_do_not_come_back_together() {
    let layer = layer(Policy::default());
    let mut waits = Vec::new();
    for _ in 0..50 {
        let script = Script::of([told(secs(5))]);
        run(&layer, &script, request()).await;
        waits.extend(script.waits());
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 40, "{waits:?}");
}

// === what is kept ===

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

#[tokio::test(start_paused = true)]
async fn a_mock_sees_the_request_again() {
    let (mut service, mut handle) = mock::spawn_layer::<Request, Response, _>(every(secs(1)));
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request()));
    for _ in 0..2 {
        let (again, reply) = handle.next_request().await.unwrap();
        assert_eq!((again.target(), *again.input()), (&target(), "hello"));
        reply.send_error(Fault::new(FaultKind::Internal));
        assert_pending!(call.poll());
        tokio::time::advance(secs(1)).await;
        assert_pending!(call.poll());
    }
    drop(handle);
    assert_ready!(call.poll()).unwrap_err();
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
