//! Where one hop ends and the next begins: readiness, deadlines, repeated targets, dropped calls, and
//! what a call that needs no fallback costs.

use std::{
    future::{Future, Ready, pending, ready},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bedrock_core::{
    Answer, BoxError, Completion, Context, Demand, Fault, FaultKind, HasCompletion, HasFault,
    HasTarget, Headroom, Invocation, Observers, Outcome, Target,
};
use tower_bedrock_fallback::{Alternative, Chain, FallbackLayer};
use tower_test::mock;

type Call = Invocation<&'static str>;
type Response = Answer<&'static str>;

const PRIMARY: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const SECOND: &str = "us.amazon.nova-pro-v1:0";

fn target(model: &str) -> Target {
    Target::parse("us-east-1", model).unwrap()
}

fn call() -> Call {
    Invocation::new(target(PRIMARY), "hello")
}

fn call_within(limit: Duration) -> Call {
    call().with_context(Context::new().with_deadline(Instant::now() + limit))
}

fn chain() -> Chain {
    Chain::new(PRIMARY.parse().unwrap()).or(Alternative::model(SECOND.parse().unwrap()))
}

fn layer() -> FallbackLayer {
    FallbackLayer::new([chain()]).unwrap()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn fault(kind: FaultKind) -> BoxError {
    Fault::new(kind).into()
}

/// The kinds and attempts of the hops that did not serve a call.
fn failed_hops(error: &BoxError) -> Vec<(FaultKind, u32)> {
    let hops = &error.history().unwrap().failed_hops;
    hops.iter()
        .map(|hop| (hop.fault.kind(), hop.attempts))
        .collect()
}

// === readiness ===

/// A mock that was ready once: the first hop has failed, and the second waits.
async fn waiting_for_the_second_hop(
    layer: FallbackLayer,
    call: Call,
) -> (
    task::Spawn<impl Future<Output = Result<Response, BoxError>>>,
    mock::Handle<Call, Response>,
) {
    let (mock, mut handle) = mock::pair::<Call, Response>();
    let mut service = layer.layer(mock);
    handle.allow(1);
    let mut response = task::spawn(service.ready().await.unwrap().call(call));
    assert_pending!(response.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(fault(FaultKind::Unavailable));
    assert_pending!(response.poll());
    (response, handle)
}

#[tokio::test(start_paused = true)]
async fn a_hop_that_becomes_ready_after_the_deadline_is_not_started() {
    let (mut response, mut handle) =
        waiting_for_the_second_hop(layer(), call_within(secs(30))).await;
    advance(secs(30)).await;
    handle.allow(1);
    let error = assert_ready_err!(response.poll());
    assert_eq!(error.fault().kind(), FaultKind::Unavailable);
    assert_eq!(error.history().unwrap().attempts, 1);
    assert!(task::spawn(handle.next_request()).poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_ends_with_the_deadline() {
    let (mut response, _handle) = waiting_for_the_second_hop(layer(), call_within(secs(30))).await;
    advance(secs(29)).await;
    assert_pending!(response.poll());
    advance(secs(1)).await;
    assert!(response.is_woken());
    assert_ready_err!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn a_hop_that_was_never_ready_counts_no_attempt() {
    let layer = FallbackLayer::new([chain()
        .or(Alternative::region("us-west-2".parse().unwrap()))
        .hop_timeout(secs(10))])
    .unwrap();
    let (mut response, mut handle) = waiting_for_the_second_hop(layer, call()).await;
    advance(secs(10)).await;
    assert_pending!(response.poll());
    handle.allow(1);
    assert_pending!(response.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error(fault(FaultKind::Internal));
    let error = assert_ready_err!(response.poll());
    let expected = [
        (FaultKind::Unavailable, 1),
        (FaultKind::Timeout, 0),
        (FaultKind::Internal, 1),
    ];
    assert_eq!(failed_hops(&error), expected);
    assert_eq!(error.history().unwrap().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_instead_of_becoming_ready_leaves_the_hops_before_it_in_the_history() {
    let (mut response, mut handle) = waiting_for_the_second_hop(layer(), call()).await;
    handle.send_error(fault(FaultKind::Transport));
    let error = assert_ready_err!(response.poll());
    assert_eq!(failed_hops(&error), [(FaultKind::Unavailable, 1)]);
    assert_eq!(error.history().unwrap().attempts, 1);
}

// === which hops ===

#[tokio::test]
async fn no_target_is_asked_twice_wherever_the_caller_starts() {
    // One list of Regions for callers in all of them.
    let chain = ["us-east-1", "us-west-2", "us-east-2"]
        .iter()
        .fold(Chain::for_any_model(), |chain, region| {
            chain.or(Alternative::region(region.parse().unwrap()))
        });
    for start in ["us-east-1", "us-west-2", "us-east-2"] {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let inner = {
            let seen = Arc::clone(&seen);
            service_fn(move |call: Call| {
                let region = call.target().region().to_string();
                seen.lock().unwrap().push(region);
                async { Err::<Response, _>(fault(FaultKind::ThrottledTokens)) }
            })
        };
        let layer = FallbackLayer::new([chain.clone()]).unwrap();
        let call = Invocation::new(Target::parse(start, SECOND).unwrap(), "hello");
        let error = layer.layer(inner).oneshot(call).await.unwrap_err();
        assert_eq!(error.history().unwrap().failed_hops.len(), 3);
        let mut seen = seen.lock().unwrap().clone();
        assert_eq!(seen[0], start);
        seen.sort();
        assert_eq!(seen, ["us-east-1", "us-east-2", "us-west-2"]);
    }
}

struct Forecast(fn(&Target) -> Duration);

impl Headroom for Forecast {
    fn time_to_serve(&self, target: &Target, _: &Demand, _: &Context) -> Duration {
        (self.0)(target)
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_hop_that_can_serve_may_take_its_time() {
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::MAX,
        _ => Duration::ZERO,
    });
    let layer = FallbackLayer::new([chain().hop_timeout(secs(10))])
        .unwrap()
        .skip_without_headroom(forecast, Duration::ZERO);
    let inner = service_fn(|_: Call| async {
        sleep(secs(60)).await;
        Ok::<_, BoxError>(Answer::new("hi"))
    });
    layer.layer(inner).oneshot(call()).await.unwrap();
}

/// That an alternative cannot be spoken to is no fault of the request as the caller made it.
#[tokio::test(start_paused = true)]
async fn a_refused_rewrite_is_not_what_the_call_ends_with() {
    let refuse = |_: &mut Call, _: &Target| Err(Fault::new(FaultKind::Validation));
    let slow = service_fn(|_: Call| pending::<Result<Response, BoxError>>());
    let layer = FallbackLayer::new([chain().hop_timeout(secs(10))])
        .unwrap()
        .rewrite_with(refuse);
    let error = layer.layer(slow).oneshot(call()).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Timeout);

    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .rewrite_with(refuse)
        .skip_without_headroom(
            Forecast(|target| match target.model().as_str() {
                PRIMARY => secs(70),
                _ => Duration::ZERO,
            }),
            Duration::ZERO,
        );
    let error = layer
        .layer(slow)
        .oneshot(call_within(secs(60)))
        .await
        .unwrap_err();
    let expected = Fault::new(FaultKind::NoHeadroom).with_retry_after(secs(70));
    assert_eq!(error.fault(), expected);
}

// === dropped calls ===

/// What a dropped call has to let go of.
#[derive(Clone)]
struct Guarded<S>(S, #[allow(dead_code)] Arc<()>);

impl<S: Service<Call>> Service<Call> for Guarded<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> S::Future {
        self.0.call(call)
    }
}

#[tokio::test]
async fn a_call_dropped_at_any_await_point_leaves_nothing_behind() {
    let alive = Arc::new(());
    let (mock, mut handle) = mock::pair::<Call, Response>();
    let (last_resort, mut last_resort_handle) = mock::pair::<Call, Response>();
    let layer = layer().or_degraded(Guarded(last_resort, Arc::clone(&alive)));
    let mut service = layer.layer(Guarded(mock, Arc::clone(&alive)));
    let at_rest = Arc::strong_count(&alive);
    for await_point in 0..6 {
        handle.allow(1);
        let mut response = task::spawn(service.ready().await.unwrap().call(call()));
        for step in 0..await_point {
            assert_pending!(response.poll());
            match step {
                // Under way; fails. Then not ready; ready. Under way; fails.
                0 | 2 => {
                    let (_, reply) = handle.next_request().await.unwrap();
                    reply.send_error(fault(FaultKind::Unavailable));
                }
                1 => handle.allow(1),
                3 => last_resort_handle.allow(1),
                _ => {}
            }
        }
        drop(response);
        assert_eq!(Arc::strong_count(&alive), at_rest, "{await_point}");
        while let Poll::Ready(Some(_)) = task::spawn(handle.next_request()).poll() {}
        while let Poll::Ready(Some(_)) = task::spawn(last_resort_handle.next_request()).poll() {}
    }
}

// === streams ===

/// A stream that is told of once, when it is dropped.
#[derive(Debug, Default)]
struct Stream(Observers);

impl HasCompletion for Stream {
    fn on_completion<F: FnOnce(&Completion) + Send + 'static>(&mut self, observer: F) {
        self.0.add(observer);
    }
}

#[tokio::test]
async fn a_stream_that_fails_before_it_begins_falls_and_the_next_is_passed_on_untouched() {
    let told: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let inner = {
        let told = Arc::clone(&told);
        service_fn(move |call: Call| {
            if call.target() == &target(PRIMARY) {
                return ready(Err(fault(FaultKind::ThrottledTokens)));
            }
            let mut stream = Stream::default();
            let told = Arc::clone(&told);
            stream.on_completion(move |completion| told.lock().unwrap().push(completion.outcome));
            ready(Ok::<_, BoxError>(stream))
        })
    };
    let mut stream = layer().layer(inner).oneshot(call()).await.unwrap();
    assert!(told.lock().unwrap().is_empty());
    stream.0.finish(Outcome::Complete);
    drop(stream);
    assert_eq!(*told.lock().unwrap(), [Outcome::Complete]);
}

// === cost ===

#[derive(Clone, Debug)]
struct Leaf;

impl Service<Call> for Leaf {
    type Response = Response;
    type Error = BoxError;
    type Future = Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        ready(Ok(Answer::new("answer")))
    }
}

#[test]
fn a_call_that_the_first_hop_serves_allocates_nothing() {
    let layer = layer()
        .skip_without_headroom(Forecast(|_| Duration::ZERO), Duration::ZERO)
        .or_degraded(Leaf);
    let mut service = layer.layer(Leaf);
    let (chained, plain) = (call(), Invocation::new(target(SECOND), "hello"));
    let mut cx = TaskContext::from_waker(Waker::noop());
    let counted = allocation_counter::measure(|| {
        for call in [&chained, &plain] {
            assert_ready_ok!(service.poll_ready(&mut cx));
            let call = pin!(service.call(call.clone()));
            assert!(call.poll(&mut cx).is_ready());
        }
    });
    assert_eq!(counted.count_total, 0);
}
