//! Falling before failing: hops that would wait.

use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock_core::{
    Answer, Context, Demand, Fault, FaultKind, HasCompletion, HasFault, Headroom, Target,
};
use tower_bedrock_fallback::{FallbackLayer, Unserved};

use crate::support::{Call, PRIMARY, SECOND, Script, THIRD, call, chain, fail};

#[derive(Clone)]
struct Forecast(fn(&Target) -> Duration);

impl Headroom for Forecast {
    fn time_to_serve(&self, target: &Target, demand: &Demand, _: &Context) -> Duration {
        assert_eq!(demand.input_tokens(), 10);
        (self.0)(target)
    }
}

const BUDGET: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_hop_without_headroom_is_left_out_and_never_called() {
    let script = Script::new(|_| Ok(Answer::new("hi")));
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::from_secs(3),
        _ => BUDGET,
    });
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    let answer = layer.layer(script.service()).oneshot(call()).await.unwrap();
    assert_eq!(script.models(), [SECOND]);
    let left_out = &answer.history().unwrap().failed_hops[0];
    assert_eq!(
        (left_out.fault.kind(), left_out.attempts),
        (FaultKind::NoHeadroom, 0)
    );
    assert_eq!(left_out.fault.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn where_no_alternative_takes_the_request_the_wait_is_taken() {
    let script = Script::new(|target| match target.model().as_str() {
        PRIMARY => Ok(Answer::new("hi")),
        _ => fail(FaultKind::Validation),
    });
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::from_secs(3),
        _ => BUDGET,
    });
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    layer.layer(script.service()).oneshot(call()).await.unwrap();
    assert_eq!(script.models(), [SECOND, THIRD, PRIMARY]);
}

#[tokio::test]
async fn when_all_would_wait_the_shortest_wait_is_taken() {
    let script = Script::new(|_| Ok(Answer::new("hi")));
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::MAX,
        SECOND => Duration::from_secs(9),
        _ => Duration::from_secs(5),
    });
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    layer.layer(script.service()).oneshot(call()).await.unwrap();
    assert_eq!(script.models(), [THIRD]);
}

#[tokio::test(start_paused = true)]
async fn when_no_wait_ends_before_the_deadline_the_caller_is_told_when_to_come_back() {
    let script = Script::new(|_| Ok(Answer::new("hi")));
    let forecast = Forecast(|target| match target.model().as_str() {
        PRIMARY => Duration::MAX,
        SECOND => Duration::from_secs(70),
        _ => Duration::from_secs(90),
    });
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    let deadline = Instant::now() + Duration::from_secs(60);
    let call = call().with_context(Context::new().with_deadline(deadline));
    let error = layer
        .layer(script.service())
        .oneshot(call)
        .await
        .unwrap_err();
    assert!(script.models().is_empty());
    let expected = Fault::new(FaultKind::NoHeadroom).with_retry_after(Duration::from_secs(70));
    assert_eq!(error.fault(), expected);
    assert_eq!(error.history().unwrap().failed_hops.len(), 3);
}

#[tokio::test]
async fn an_error_of_our_own_is_a_rejection_that_carries_its_fault() {
    let inner = service_fn(|_: Call| async { fail(FaultKind::Unknown) });
    let forecast = Forecast(|_| Duration::MAX);
    let layer = FallbackLayer::new([chain()])
        .unwrap()
        .skip_without_headroom(forecast, BUDGET);
    let error = layer.layer(inner).oneshot(call()).await.unwrap_err();
    let own = std::iter::successors(error.source(), |error| error.source())
        .find_map(|error| error.downcast_ref::<Unserved>().copied());
    assert_eq!(
        Fault::find(&own.unwrap()),
        Some(FaultKind::NoHeadroom.into())
    );
}
