//! Defects found in other retry layers, each as a test that fails where it is repeated. Those that have
//! a better place are there: jitter above the cap in `backoff`, truncated percentages and over-withdrawals
//! in the budget's own tests, one budget for all targets in `budget`, a retry into a service that is not
//! ready in `service`.

use std::{collections::HashSet, sync::Arc};

use tokio::time::{Duration, Instant};
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock_core::{
    Completion, Context, Fault, FaultKind, GaveUp, HasCompletion, Invocation,
};
use tower_bedrock_retry::{Plan, Policy, RetryLayer};

use crate::common::{
    End, Record, Response, Script, layer, request, request_within, rng, run, secs, target,
};

/// tower 0.5.3: `ExponentialBackoffMaker` clones its generator for each session and never moves its own
/// on, so every session draws the same jitter.
#[tokio::test(start_paused = true)]
async fn tower_gives_every_session_the_same_jitter() {
    for seed in [None, Some(7)] {
        let record = Arc::new(Record::default());
        let builder = RetryLayer::builder(Policy::default()).budget(None);
        let builder = match seed {
            Some(seed) => builder.rng(rng(seed)),
            None => builder,
        };
        let layer = builder.observer(Arc::clone(&record)).build();
        for _ in 0..100 {
            let script = Script::of([FaultKind::ThrottledTokens; 4]);
            run(&layer, &script, request()).await;
        }
        let delays = record.delays();
        assert_eq!(delays.len(), 400);
        let sessions: HashSet<_> = delays.chunks(4).collect();
        assert_eq!(sessions.len(), 100);
        // Not only as sequences: no two sessions even start alike.
        let firsts: HashSet<_> = delays.iter().step_by(4).collect();
        assert_eq!(firsts.len(), 100);
    }
}

/// tower-resilience: the delay is a function of the attempt's number alone.
#[tokio::test(start_paused = true)]
async fn tower_resilience_does_not_see_the_error() {
    let told = Fault::new(FaultKind::Internal).with_retry_after(secs(7));
    for (fault, least, most) in [
        (FaultKind::Unavailable.into(), secs(0), secs(0)),
        (told, secs(7), secs(9)),
    ] {
        let script = Script::of([fault]);
        run(&layer(Policy::default()), &script, request()).await;
        let wait = script.waits()[0];
        assert!(least <= wait && wait <= most, "{fault}: {wait:?}");
    }
}

/// LiteLLM 1.106: a `Retry-After` of 90 s is ignored, the retry comes after 0.57 s.
#[tokio::test(start_paused = true)]
async fn litellm_ignores_retry_after() {
    let fault = Fault::new(FaultKind::ThrottledTokens).with_retry_after(secs(90));
    let script = Script::of([fault]);
    let end = run(&layer(Policy::default()), &script, request()).await;
    assert_eq!(end, End::Answered { attempts: 2 });
    assert!(script.waits()[0] >= secs(90));

    // Where there is no time for it, a fallback has all of the time that is left.
    let script = Script::of([fault]);
    let begun = Instant::now();
    let end = run(&layer(Policy::default()), &script, request_within(secs(60))).await;
    let (kind, gave_up) = (FaultKind::ThrottledTokens, Some(GaveUp::RetryAfter));
    assert_eq!(end, End::failed(1, kind, gave_up));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// The AWS SDK for Rust never retries a 529 (nor 408 and 424, which here are a choice).
#[tokio::test(start_paused = true)]
async fn the_aws_sdk_never_retries_529() {
    let script = Script::of([FaultKind::Overloaded]);
    let end = run(&layer(Policy::default()), &script, request()).await;
    assert_eq!(end, End::Answered { attempts: 2 });

    let usual = *Plan::default().schedule(FaultKind::Internal).unwrap();
    let plan = Plan::default()
        .with(FaultKind::ModelTimeout, usual)
        .with(FaultKind::ModelError, usual);
    let layer = layer(Policy::builder().plan(plan).build().unwrap());
    let script = Script::of([FaultKind::ModelTimeout, FaultKind::ModelError]);
    assert_eq!(
        run(&layer, &script, request()).await,
        End::Answered { attempts: 3 }
    );
}

/// agentgateway: bodies over 64 KiB are never retried.
#[tokio::test(start_paused = true)]
async fn agentgateway_never_retries_a_long_prompt() {
    let script = Script::of([FaultKind::Unavailable, FaultKind::ThrottledTokens]);
    let prompt: Arc<[u8]> = vec![b'a'; 5 << 20].into();
    let sent = script.clone();
    let service = service_fn(move |request: Invocation<Arc<[u8]>>| {
        assert_eq!(request.input().len(), 5 << 20);
        sent.clone().oneshot(request)
    });
    let call = Invocation::new(target(), prompt);
    let answer = layer(Policy::default()).layer(service).oneshot(call).await;
    assert_eq!(*answer.unwrap().output(), "answer");
    assert_eq!(script.calls(), 3);
}

/// Helicone's gateway does not retry a 429.
#[tokio::test(start_paused = true)]
async fn helicone_does_not_retry_429() {
    for kind in [
        FaultKind::ThrottledRequests,
        FaultKind::ThrottledTokens,
        FaultKind::Throttled,
        FaultKind::ModelOverloaded,
        FaultKind::ModelNotReady,
    ] {
        let end = run(&layer(Policy::default()), &Script::of([kind]), request()).await;
        assert_eq!(end, End::Answered { attempts: 2 }, "{kind}");
    }
}

/// TensorZero and LangChain retry a 400; LiteLLM falls back on it.
#[tokio::test(start_paused = true)]
async fn tensorzero_and_langchain_retry_400() {
    let script = Script::of([FaultKind::Validation]);
    run(&layer(Policy::default()), &script, request()).await;
    assert_eq!(script.calls(), 1);
}

/// The AWS SDK and Portkey: a throttle inside a stream's 200 is never retried, or ends as an empty answer.
/// A leaf that holds a stream back until its first content makes an error of it, like any other.
#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_it_commits_is_retried() {
    struct Stream(Vec<&'static str>);

    impl HasCompletion for Stream {
        fn on_completion<F>(&mut self, _: F)
        where
            F: FnOnce(&Completion) + Send + 'static,
        {
        }
    }

    let script = Script::of([FaultKind::ThrottledTokens]);
    let leaf = tower::util::MapResponse::new(script.clone(), |answer: Response| {
        Stream(vec![answer.into_output()])
    });
    let stream = layer(Policy::default())
        .layer(leaf)
        .oneshot(request())
        .await;
    assert_eq!(stream.unwrap().0, ["answer"]);
    assert_eq!(script.calls(), 2);
}

/// tower-resilience reads the system's clock. Here an hour passes in no time.
#[tokio::test(start_paused = true)]
async fn tower_resilience_cannot_be_tested_in_paused_time() {
    let fault = Fault::new(FaultKind::Overloaded).with_retry_after(secs(3_600));
    let policy = Policy::builder()
        .max_retry_after(secs(3_600))
        .build()
        .unwrap();
    let script = Script::of([fault]);
    let context = Context::new().with_deadline(Instant::now() + secs(7_200));
    run(&layer(policy), &script, request().with_context(context)).await;
    assert!(script.waits()[0] >= secs(3_600));
}
