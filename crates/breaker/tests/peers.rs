//! What other circuit breakers got wrong, each as a test that fails where it is got wrong again.

mod common;

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
};

use common::{CLAUDE, Call, NOVA, Reply, Rig, call, finish, one_probe, target};
use tokio::time::{Duration, advance};
use tower_bedrock_breaker::{CircuitBreakerHandle, CircuitBreakerLayer, Event, State};
use tower_bedrock_core::{BoxError, Fault, FaultKind};
use tower_layer::Layer;
use tower_service::Service;

const DOWN: Result<(), FaultKind> = Err(FaultKind::Unavailable);

/// tower-resilience: the count window filled up and never slid, so that after 10,000 successes it took as many
/// failures to reach 50%.
#[tokio::test(start_paused = true)]
async fn after_ten_thousand_successes_fifty_failures_of_a_hundred_open_it() {
    let builder = CircuitBreakerLayer::builder()
        .without_consecutive_failures()
        .failure_rate_threshold(50.0)
        .sliding_window_size(100);
    let mut rig = Rig::with(builder);
    rig.repeat(10_000, NOVA, Ok(())).await;
    rig.repeat(49, NOVA, DOWN).await;
    assert_eq!(rig.state(NOVA), State::Closed);
    rig.repeat(1, NOVA, DOWN).await;
    assert_eq!(rig.state(NOVA), State::Open);
}

/// tower-resilience, failsafe, recloser: any late success closed a half-open breaker.
#[tokio::test(start_paused = true)]
async fn a_late_success_from_before_the_outage_closes_nothing() {
    let mut rig = Rig::with(one_probe());
    let (late, respond_late) = rig.start(NOVA).await;
    let (later, respond_later) = rig.start(NOVA).await;
    rig.trip(NOVA).await;

    finish(late, respond_late, Ok(())).await.unwrap();
    assert_eq!(rig.state(NOVA), State::Open);

    advance(Duration::from_secs(60)).await;
    let (probe, respond_probe) = rig.start(NOVA).await;
    finish(later, respond_later, Ok(())).await.unwrap();
    assert_eq!(rig.state(NOVA), State::HalfOpen);
    finish(probe, respond_probe, Ok(())).await.unwrap();
    assert_eq!(rig.state(NOVA), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_from_before_the_outage_reopens_nothing() {
    let builder = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .permitted_number_of_calls_in_half_open_state(1);
    let mut rig = Rig::with(builder);
    let (late, respond_late) = rig.start(NOVA).await;
    let (later, respond_later) = rig.start(NOVA).await;
    rig.trip_and_wait(NOVA).await;

    let (probe, respond_probe) = rig.start(NOVA).await;
    finish(late, respond_late, DOWN).await.unwrap_err();
    assert_eq!(rig.state(NOVA), State::HalfOpen);
    finish(probe, respond_probe, Ok(())).await.unwrap();
    finish(later, respond_later, DOWN).await.unwrap_err();
    assert_eq!(rig.state(NOVA), State::Closed);
}

/// tower-resilience: `std::time::Instant`, which paused time doesn't move.
#[tokio::test(start_paused = true)]
async fn paused_time_drives_it() {
    let mut rig = Rig::new();
    rig.trip(NOVA).await;
    advance(Duration::from_millis(59_999)).await;
    let left = rig.refused(NOVA).await.retry_after();
    assert_eq!(left, Some(Duration::from_millis(1)));
    advance(Duration::from_millis(1)).await;
    rig.send(NOVA, Ok(())).await.unwrap();
}

/// tower-resilience: listeners ran under the lock, so that one that asked the breaker never returned.
#[test]
fn an_observer_may_ask_and_command_the_breaker_it_hears_of() {
    let (done, finished) = mpsc::channel();
    // In a thread, so that a deadlock fails the test and doesn't hang it.
    thread::spawn(move || {
        let own_handle = Arc::new(std::sync::OnceLock::<CircuitBreakerHandle>::new());
        let asked = Arc::clone(&own_handle);
        let builder = CircuitBreakerLayer::builder().observer(
            move |event: &Event<tower_bedrock_core::Target>| {
                if let Some(handle) = asked.get() {
                    assert!(handle.snapshot(&event.key).is_some());
                    assert_eq!(handle.snapshots().len(), 1);
                    handle.force_open(&event.key);
                }
            },
        );
        let mut rig = Rig::with(builder);
        own_handle.set(rig.handle.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(rig.repeat(5, NOVA, DOWN));
        done.send(rig.state(NOVA)).unwrap();
    });
    let state = finished.recv_timeout(Duration::from_secs(60));
    assert_eq!(state.expect("it came back"), State::ForcedOpen);
}

/// An inner service that counts whatever is done to it, and never answers.
#[derive(Default)]
struct Counted {
    touched: Arc<AtomicUsize>,
    called: Arc<AtomicUsize>,
    fault: Option<FaultKind>,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.touched.fetch_add(1, Ordering::SeqCst);
        Self {
            touched: Arc::clone(&self.touched),
            called: Arc::clone(&self.called),
            fault: self.fault,
        }
    }
}

impl Service<Call> for Counted {
    type Response = Reply;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Reply, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        self.touched.fetch_add(1, Ordering::SeqCst);
        self.called.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Some(kind) => Box::pin(async move { Err(Fault::new(kind).into()) }),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// tower-resilience #381: an open breaker still polled the inner service.
#[tokio::test(start_paused = true)]
async fn an_open_breaker_does_not_touch_the_inner_service() {
    use tower::ServiceExt;

    let inner = Counted {
        fault: Some(FaultKind::Unavailable),
        ..Counted::default()
    };
    let touched = Arc::clone(&inner.touched);
    let layer = CircuitBreakerLayer::builder().build().unwrap();
    let mut service = layer.layer(inner);
    for _ in 0..5 {
        service
            .ready()
            .await
            .unwrap()
            .call(call(NOVA))
            .await
            .unwrap_err();
    }
    assert_eq!(layer.handle().state(&target(NOVA)), State::Open);

    let before = touched.load(Ordering::SeqCst);
    for _ in 0..100 {
        service
            .ready()
            .await
            .unwrap()
            .call(call(NOVA))
            .await
            .unwrap_err();
    }
    assert_eq!(touched.load(Ordering::SeqCst), before);
}

/// tower-resilience #382, failsafe, recloser, resilience4j #1432: a half-open breaker admitted more probes than it was
/// to, or everyone.
#[test]
fn probes_are_exact_however_many_threads_ask_at_once() {
    const THREADS: usize = 8;
    const CALLS: usize = 16;
    const PROBES: u32 = 5;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let layer = CircuitBreakerLayer::builder()
        .permitted_number_of_calls_in_half_open_state(PROBES)
        .build()
        .unwrap();
    let inner = Counted::default();
    let called = Arc::clone(&inner.called);
    let service = layer.layer(inner);
    {
        let failing = Counted {
            fault: Some(FaultKind::Unavailable),
            ..Counted::default()
        };
        let mut failing = layer.layer(failing);
        runtime.block_on(async {
            for _ in 0..5 {
                failing.call(call(NOVA)).await.unwrap_err();
            }
            advance(Duration::from_secs(60)).await;
        });
    }

    // Twice: every probe of the first round is dropped, and the second round has all places again.
    for round in 1..=2 {
        let start = Barrier::new(THREADS);
        let in_flight: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        // Each thread reads the paused clock of the runtime.
                        let _context = runtime.enter();
                        let mut service = service.clone();
                        start.wait();
                        (0..CALLS)
                            .filter_map(|_| {
                                let mut future = Box::pin(service.call(call(NOVA)));
                                let mut cx = Context::from_waker(Waker::noop());
                                let pending = future.as_mut().poll(&mut cx).is_pending();
                                pending.then_some(future)
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(in_flight.len(), PROBES as usize);
        assert_eq!(called.load(Ordering::SeqCst), round * PROBES as usize);
    }
}

/// resilience4j #903, #935, #2289: probes that never reported kept it half-open for good.
#[tokio::test(start_paused = true)]
async fn a_dropped_probe_gives_its_place_back() {
    let builder = CircuitBreakerLayer::builder().permitted_number_of_calls_in_half_open_state(2);
    let mut rig = Rig::with(builder);
    rig.trip_and_wait(NOVA).await;
    let (first, _respond) = rig.start(NOVA).await;
    let (second, _respond) = rig.start(NOVA).await;
    rig.refused(NOVA).await;

    drop(first);
    let (third, _respond) = rig.start(NOVA).await;
    rig.refused(NOVA).await;

    drop((second, third));
    rig.repeat(2, NOVA, Ok(())).await;
    assert_eq!(rig.state(NOVA), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn hung_probes_give_their_places_back_with_the_next_half_open_state() {
    let builder = CircuitBreakerLayer::builder()
        .permitted_number_of_calls_in_half_open_state(2)
        .max_wait_duration_in_half_open_state(Duration::from_secs(30));
    let mut rig = Rig::with(builder);
    rig.trip_and_wait(NOVA).await;
    let (hung, respond) = rig.start(NOVA).await;
    advance(Duration::from_secs(20)).await;
    let (_hung_too, _respond) = rig.start(NOVA).await;

    // The time counts from the last place taken, and until then it is half-open.
    advance(Duration::from_secs(29)).await;
    let refused = rig.refused(NOVA).await;
    assert_eq!(refused.state(), State::HalfOpen);
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    advance(Duration::from_secs(1)).await;
    let refused = rig.refused(NOVA).await;
    assert_eq!(refused.state(), State::Open);
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(60)));

    advance(Duration::from_secs(60)).await;
    let (first, respond_first) = rig.start(NOVA).await;
    let (second, respond_second) = rig.start(NOVA).await;
    rig.refused(NOVA).await;
    // A probe of the round before comes back from the dead: it doesn't count.
    finish(hung, respond, DOWN).await.unwrap_err();
    assert_eq!(rig.state(NOVA), State::HalfOpen);
    finish(first, respond_first, Ok(())).await.unwrap();
    finish(second, respond_second, Ok(())).await.unwrap();
    assert_eq!(rig.state(NOVA), State::Closed);
}

/// Helicone: one bad model took the whole provider out.
#[tokio::test(start_paused = true)]
async fn one_failing_model_leaves_the_others_alone() {
    let mut rig = Rig::new();
    rig.trip(NOVA).await;
    rig.refused(NOVA).await;
    rig.repeat(10, CLAUDE, Ok(())).await;
    assert_eq!(rig.state(CLAUDE), State::Closed);
}

/// LiteLLM, LangChain, TensorZero: the caller's mistakes were treated as the model's failures.
#[tokio::test(start_paused = true)]
async fn the_callers_mistakes_and_local_rejections_never_count() {
    let builder = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .minimum_number_of_calls(1);
    let mut rig = Rig::with(builder);
    for kind in [
        FaultKind::Validation,
        FaultKind::AccessDenied,
        FaultKind::ResourceNotFound,
        FaultKind::ServiceQuotaExceeded,
        FaultKind::QuotaExhausted,
        FaultKind::NoHeadroom,
        FaultKind::DeadlineExceeded,
        FaultKind::CircuitOpen,
    ] {
        rig.repeat(200, NOVA, Err(kind)).await;
        let seen = rig.handle.snapshot(&target(NOVA)).unwrap();
        assert_eq!((seen.state, seen.calls), (State::Closed, 0), "{kind}");
    }
}

/// The AWS SDK's retries overlook some of these; a breaker must not.
#[tokio::test(start_paused = true)]
async fn what_says_that_the_model_is_not_serving_counts_as_a_failure() {
    for kind in [
        FaultKind::Unavailable,
        FaultKind::Internal,
        FaultKind::Overloaded,
        FaultKind::ModelOverloaded,
        FaultKind::ModelTimeout,
        FaultKind::ModelError,
        FaultKind::ModelStreamError,
        FaultKind::Transport,
        FaultKind::Timeout,
    ] {
        let mut rig = Rig::new();
        rig.repeat(5, NOVA, Err(kind)).await;
        assert_eq!(rig.state(NOVA), State::Open, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttles_degrade_the_rate_and_fail_a_probe_and_are_no_consecutive_failures() {
    for kind in [
        FaultKind::ThrottledRequests,
        FaultKind::ThrottledTokens,
        FaultKind::ThrottledTokensPerDay,
        FaultKind::Throttled,
    ] {
        let builder = one_probe();
        let mut rig = Rig::with(builder);
        rig.repeat(99, NOVA, Err(kind)).await;
        assert_eq!(rig.state(NOVA), State::Closed, "{kind}");
        rig.repeat(1, NOVA, Err(kind)).await;
        assert_eq!(rig.state(NOVA), State::Open, "{kind}: 100% of 100 calls");
        advance(Duration::from_secs(60)).await;
        rig.repeat(1, NOVA, Err(kind)).await;
        assert_eq!(rig.state(NOVA), State::Open, "{kind}: a failed probe");
    }
}
