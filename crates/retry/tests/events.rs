//! What the events of a call say, as they would be logged.
//!
//! In a process of its own: an event that another thread emits first, with no subscriber, is off for good.

#![allow(clippy::unwrap_used)]

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::time::Duration;
use tower::{Layer, ServiceExt, service_fn};
use tower_bedrock_core::{Answer, BoxError, Fault, FaultKind, Invocation, Target};
use tower_bedrock_retry::{Backoff, Jitter, Plan, Policy, RetryLayer, Schedule};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let log = self.0.lock().expect("no writer panics");
        let log = str::from_utf8(&log).expect("logs are text");
        log.lines().map(str::to_owned).collect()
    }
}

fn capture() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone());
    let guard = tracing::subscriber::set_default(subscriber.finish());
    (log, guard)
}

/// Its message quotes the request, as some of Bedrock's do.
#[derive(Debug, thiserror::Error)]
#[error("malformed: {0}")]
struct Quoting(&'static str, #[source] Fault);

#[tokio::test(start_paused = true)]
async fn events_name_the_fault_and_quote_nobody() {
    let (log, _guard) = capture();
    let delay = Duration::from_secs(3);
    let backoff = Backoff::new(delay, delay).unwrap();
    let schedule = Schedule::new(backoff.with_jitter(Jitter::None));
    let plan = Plan::empty().with(FaultKind::ThrottledTokens, schedule);
    let policy = Policy::builder().plan(plan).max_attempts(2);
    let layer = RetryLayer::new(policy.build().unwrap());

    let leaf = service_fn(|call: Invocation<&'static str>| async move {
        let error = Quoting(call.input(), Fault::new(FaultKind::ThrottledTokens));
        Err::<Answer<()>, _>(BoxError::from(error))
    });
    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
    let call = Invocation::new(target, "a secret");
    let error = layer.layer(leaf).oneshot(call).await.unwrap_err();
    assert_eq!(error.to_string(), "malformed: a secret");

    assert_eq!(
        log.lines(),
        [
            " WARN tower_bedrock_retry::event: attempt failed \
             bedrock.target=us-east-1/amazon.nova-lite-v1:0 exception=\"ThrottlingException\" \
             fault=\"throttled_tokens\" attempt=1 delay_ms=3000",
            " WARN tower_bedrock_retry::event: attempt failed \
             bedrock.target=us-east-1/amazon.nova-lite-v1:0 exception=\"ThrottlingException\" \
             fault=\"throttled_tokens\" attempt=2 gave_up=\"max_attempts\"",
        ]
    );
}

/// An open breaker turns away as many calls as there are: they are no attempts at Bedrock, and no reason to warn.
#[tokio::test(start_paused = true)]
async fn what_is_turned_away_here_is_no_failed_attempt() {
    let (log, _guard) = capture();
    let leaf = service_fn(|_: Invocation<()>| async {
        Err::<Answer<()>, _>(BoxError::from(Fault::new(FaultKind::CircuitOpen)))
    });
    let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0").unwrap();
    let call = RetryLayer::default()
        .layer(leaf)
        .oneshot(Invocation::new(target, ()));
    call.await.unwrap_err();
    assert_eq!(
        log.lines(),
        ["DEBUG tower_bedrock_retry::event: attempt turned away \
          bedrock.target=us-east-1/amazon.nova-lite-v1:0 fault=\"circuit_open\" attempt=1"]
    );
}
