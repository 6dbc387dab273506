//! Streams: their pace, their commit point and their end.

use std::sync::{Arc, Mutex};

use bedrock_sim::{FaultAt, FaultName, FaultSpec, ModelSettings, Simulator};
use futures_util::StreamExt;
use tokio::time::{Duration, Instant, timeout};
use tower_bedrock_core::{Completion, FaultKind, HasCompletion, HasFault, Outcome};

use crate::support::{ACME, acme, ask_streamed, last, prompt, target};

fn observed(stream: &mut impl HasCompletion) -> Arc<Mutex<Vec<Completion>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    stream.on_completion(move |completion| sink.lock().unwrap().push(*completion));
    seen
}

fn simulator() -> Simulator {
    acme(ModelSettings {
        tokens_per_minute: Some(Some(100_000)),
        burndown: Some(2),
        ..ModelSettings::default()
    })
}

#[tokio::test(start_paused = true)]
async fn deltas_come_as_they_are_generated() {
    let simulator = simulator();
    let began = Instant::now();
    let mut stream = ask_streamed(&simulator, prompt(10, 12).streamed().to(target(ACME)))
        .await
        .unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(1_000));
    let seen = observed(&mut stream);
    let mut arrivals = Vec::new();
    let mut text = String::new();
    while let Some(delta) = stream.next().await {
        let delta = delta.unwrap();
        text += &delta.text();
        arrivals.push((began.elapsed().as_millis(), delta.tokens));
    }
    assert_eq!(arrivals, [(1_000, 5), (1_100, 5), (1_200, 2)]);
    assert_eq!(began.elapsed(), Duration::from_millis(1_240));
    assert_eq!(
        text,
        "This is a simulated answer from bedrock-sim. No model was asked, and "
    );

    let completion = seen.lock().unwrap()[0];
    assert_eq!(completion.outcome, Outcome::Complete);
    assert_eq!(completion.usage.unwrap().output, 12);
    assert_eq!(completion.time_to_first_token, Some(Duration::from_secs(1)));
    assert!(stream.next().await.is_none());
    assert_eq!(last(&simulator).settled, 10 + 12 * 2);
}

/// Until the first delta a fault is an error of the call; a refusal inside the stream costs nothing.
#[tokio::test(start_paused = true)]
async fn a_fault_before_the_first_delta_is_an_error_of_the_call() {
    for at in [FaultAt::FirstEvent, FaultAt::AfterDeltas(0)] {
        for (kind, expected, settled) in [
            (FaultName::ThrottleTokens, FaultKind::ThrottledTokens, 0),
            (FaultName::Unavailable, FaultKind::Unavailable, 0),
            (FaultName::ModelError, FaultKind::ModelStreamError, 0),
            (FaultName::Overloaded529, FaultKind::Overloaded, 0),
            (FaultName::Reset, FaultKind::Transport, 10),
            (FaultName::Corrupt, FaultKind::Transport, 10),
        ] {
            let simulator = simulator();
            simulator.add_fault(FaultSpec::once(kind).at(at)).unwrap();
            let invocation = prompt(10, 100).streamed().to(target(ACME));
            let error = ask_streamed(&simulator, invocation.clone())
                .await
                .unwrap_err();
            assert_eq!(error.fault().kind(), expected);
            let entry = last(&simulator);
            assert_eq!(entry.outcome, expected.as_str());
            assert_eq!(
                (entry.status, entry.output_tokens, entry.settled),
                (Some(200), 0, settled)
            );
            assert_eq!(entry.fault, Some(1));
            // It struck once.
            ask_streamed(&simulator, invocation).await.unwrap();
        }
    }
}

/// After it, an explicit error and never a clean end; what was generated is paid for.
#[tokio::test(start_paused = true)]
async fn a_fault_after_so_many_deltas_is_an_error_of_the_stream() {
    for (kind, expected) in [
        (FaultName::ThrottleRequests, FaultKind::ThrottledRequests),
        (FaultName::Internal, FaultKind::Internal),
        (FaultName::ModelTimeout, FaultKind::ModelTimeout),
        (FaultName::Reset, FaultKind::Transport),
        (FaultName::Corrupt, FaultKind::Transport),
    ] {
        // 100 tokens are 20 deltas. A stream of fewer is struck after its last.
        for (after, deltas) in [(1, 1), (7, 7), (20, 20), (21, 20), (u64::MAX, 20)] {
            let simulator = simulator();
            let fault = FaultSpec::once(kind).at(FaultAt::AfterDeltas(after));
            simulator.add_fault(fault).unwrap();
            let mut stream = ask_streamed(&simulator, prompt(10, 100).streamed().to(target(ACME)))
                .await
                .unwrap();
            let seen = observed(&mut stream);
            for _ in 0..deltas {
                stream.recv().await.unwrap().unwrap();
            }
            let error = stream.recv().await.unwrap().unwrap_err();
            assert_eq!(error.fault().kind(), expected);
            assert!(stream.recv().await.is_none());
            assert_eq!(
                seen.lock().unwrap()[0].outcome,
                Outcome::Failed(error.fault())
            );
            let entry = last(&simulator);
            assert_eq!(entry.outcome, expected.as_str());
            assert_eq!(entry.settled, 10 + deltas * 5 * 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_stays_open_until_its_reader_gives_up() {
    let simulator = simulator();
    let stall = FaultSpec::once(FaultName::Hang).at(FaultAt::AfterDeltas(2));
    simulator.add_fault(stall).unwrap();
    let mut stream = ask_streamed(&simulator, prompt(10, 100).streamed().to(target(ACME)))
        .await
        .unwrap();
    let seen = observed(&mut stream);
    stream.recv().await.unwrap().unwrap();
    stream.recv().await.unwrap().unwrap();
    let hour = Duration::from_secs(3_600);
    assert!(timeout(hour, stream.recv()).await.is_err());
    assert_eq!(last(&simulator).outcome, "in_flight");
    drop(stream);
    assert_eq!(seen.lock().unwrap()[0].outcome, Outcome::Dropped);
    // Nothing was generated after the stall, however long it lasted.
    let entry = last(&simulator);
    assert_eq!((entry.outcome, entry.settled), ("dropped", 10 + 10 * 2));
}

/// A slow reader gets what has been generated since without waiting again.
#[tokio::test(start_paused = true)]
async fn deltas_wait_for_a_slow_reader() {
    let simulator = simulator();
    let mut stream = ask_streamed(&simulator, prompt(10, 100).streamed().to(target(ACME)))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let began = Instant::now();
    while let Some(delta) = stream.recv().await {
        delta.unwrap();
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}
