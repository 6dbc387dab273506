//! Timeouts and deadlines, in paused time and with no network.

use std::time::SystemTime;

use aws_sdk_bedrockruntime::types::ConverseStreamOutput as Event;
use aws_smithy_async::time::TimeSource;
use tokio::time::{Duration, Instant, sleep};
use tower::Service;
use tower_bedrock_core::{Context, FaultKind, HasCompletion, HasFault};
use tower_bedrock_service::{BedrockService, Builder};

use crate::{
    ask, aws_config, converse, converse_stream,
    memory::{Memory, Piece},
    send, wire,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The SDK's clock, driven by the one that stands still.
#[derive(Debug)]
struct PausedClock {
    started: Instant,
}

impl TimeSource for PausedClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds(1_800_000_000) + self.started.elapsed()
    }
}

fn over(memory: &Memory, builder: Builder) -> BedrockService {
    let started = Instant::now();
    let config = aws_config()
        .http_client(memory.clone())
        .time_source(PausedClock { started })
        .build();
    builder.build(&config).unwrap()
}

fn frames(frames: Vec<Vec<u8>>) -> Piece {
    Piece::Bytes(frames.concat())
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_ends_at_its_timeout() {
    let memory = Memory::new(seconds(1_000), vec![Piece::Bytes(b"{}".to_vec())]);
    let service = over(
        &memory,
        BedrockService::builder().operation_timeout(seconds(30)),
    );
    let started = Instant::now();
    let error = ask(&service, converse()).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Timeout);
    assert_eq!(started.elapsed(), seconds(30));
    assert_eq!(memory.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_unary_call_counts_too() {
    let memory = Memory::new(seconds(1), vec![Piece::Bytes(b"{".to_vec()), Piece::Hang]);
    let service = over(
        &memory,
        BedrockService::builder().operation_timeout(seconds(30)),
    );
    let started = Instant::now();
    let error = ask(&service, converse()).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Timeout);
    assert_eq!(started.elapsed(), seconds(30));
}

#[tokio::test(start_paused = true)]
async fn a_model_may_think_for_long() {
    // The SDK's stalled-stream protection would have cut this after a few seconds.
    let memory = Memory::new(
        seconds(3_000),
        vec![
            Piece::Bytes(b"{".to_vec()),
            Piece::Wait(seconds(500)),
            Piece::Bytes(b"}".to_vec()),
        ],
    );
    ask(&over(&memory, BedrockService::builder()), converse())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_until_its_first_content() {
    for pieces in [
        vec![Piece::Hang],
        vec![frames(vec![wire::start()]), Piece::Hang],
        vec![Piece::Bytes(wire::start()[..20].to_vec()), Piece::Hang],
    ] {
        let memory = Memory::new(seconds(5), pieces);
        let builder = BedrockService::builder().first_event_timeout(seconds(20));
        let started = Instant::now();
        let error = ask(&over(&memory, builder), converse_stream())
            .await
            .unwrap_err();
        assert_eq!(error.fault().kind(), FaultKind::Timeout);
        assert_eq!(started.elapsed(), seconds(20));
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_to_the_first_token_is_measured_from_the_call() {
    let memory = Memory::new(
        seconds(2),
        vec![
            frames(vec![wire::start()]),
            Piece::Wait(seconds(3)),
            frames(vec![wire::delta("Hi")]),
            Piece::Wait(seconds(60)),
            frames(vec![wire::stop(), wire::metadata()]),
        ],
    );
    let mut stream = ask(&over(&memory, BedrockService::builder()), converse_stream())
        .await
        .unwrap();
    // A reader that takes its time does not make the model slow.
    sleep(seconds(10)).await;
    let (sender, receiver) = std::sync::mpsc::channel();
    stream.on_completion(move |completion| {
        sender.send(completion.time_to_first_token).unwrap();
    });
    while stream.recv().await.unwrap().is_some() {}
    assert_eq!(receiver.try_recv(), Ok(Some(seconds(5))));
}

#[tokio::test(start_paused = true)]
async fn a_stall_between_events_is_a_timeout() {
    let memory = Memory::new(
        seconds(1),
        vec![
            frames(vec![wire::start(), wire::delta("Hel")]),
            // Just in time, twice.
            Piece::Wait(seconds(39)),
            frames(vec![wire::delta("lo")]),
            Piece::Wait(seconds(39)),
            frames(vec![wire::delta(".")]),
            Piece::Hang,
        ],
    );
    let builder = BedrockService::builder().stream_idle_timeout(seconds(40));
    let mut stream = ask(&over(&memory, builder), converse_stream())
        .await
        .unwrap();
    for _ in 0..4 {
        assert!(stream.recv().await.unwrap().is_some());
    }
    let waiting = Instant::now();
    let error = stream.recv().await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Timeout);
    assert_eq!(waiting.elapsed(), seconds(40));
    assert!(stream.recv().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_no_stall() {
    let memory = Memory::new(
        Duration::ZERO,
        vec![
            frames(wire::whole()[..2].to_vec()),
            frames(wire::whole()[2..].to_vec()),
        ],
    );
    let builder = BedrockService::builder().stream_idle_timeout(seconds(10));
    let mut stream = ask(&over(&memory, builder), converse_stream())
        .await
        .unwrap();
    let mut events = 0;
    while stream.recv().await.unwrap().is_some() {
        events += 1;
        sleep(seconds(100)).await;
    }
    assert_eq!(events, 6);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_given_up_and_resumed_goes_on_waiting() {
    let pieces = vec![frames(vec![wire::start(), wire::delta("Hi")]), Piece::Hang];
    let memory = Memory::new(Duration::ZERO, pieces);
    let builder = BedrockService::builder().stream_idle_timeout(seconds(40));
    let mut stream = ask(&over(&memory, builder), converse_stream())
        .await
        .unwrap();
    for _ in 0..2 {
        stream.recv().await.unwrap();
    }
    let waiting = Instant::now();
    // As in a `select!` with a ticker, which must not keep a dead stream alive.
    let error = loop {
        if let Ok(result) = tokio::time::timeout(seconds(3), stream.recv()).await {
            break result.unwrap_err();
        }
    };
    assert_eq!(error.fault().kind(), FaultKind::Timeout);
    assert_eq!(waiting.elapsed(), seconds(40));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_stays_open_after_the_last_event_does_not_hold_the_reader() {
    let memory = Memory::new(Duration::ZERO, vec![frames(wire::whole()), Piece::Hang]);
    let mut stream = ask(&over(&memory, BedrockService::builder()), converse_stream())
        .await
        .unwrap();
    while !matches!(stream.recv().await.unwrap(), Some(Event::Metadata(_))) {}
    let waiting = Instant::now();
    assert!(stream.recv().await.unwrap().is_none());
    assert!(waiting.elapsed() <= seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_on_the_wire_is_transport() {
    let pieces = vec![frames(vec![wire::start(), wire::delta("Hi")]), Piece::Cut];
    let memory = Memory::new(Duration::ZERO, pieces);
    let mut stream = ask(&over(&memory, BedrockService::builder()), converse_stream())
        .await
        .unwrap();
    for _ in 0..2 {
        stream.recv().await.unwrap();
    }
    let error = stream.recv().await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Transport);
}

// === deadlines ===

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let memory = Memory::new(Duration::ZERO, vec![Piece::Bytes(b"{}".to_vec())]);
    let service = over(&memory, BedrockService::builder());
    let context = Context::new().with_deadline(Instant::now());
    let invocation = service
        .invocation(converse())
        .unwrap()
        .with_context(context);
    let error = send(&service, invocation).await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::DeadlineExceeded);

    // Nor one whose deadline passes before it is first polled.
    let context = Context::new().with_deadline(Instant::now() + seconds(10));
    let invocation = service.invocation(converse()).unwrap();
    let call = service.clone().call(invocation.with_context(context));
    sleep(seconds(20)).await;
    let error = call.await.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::DeadlineExceeded);
    assert_eq!(memory.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call_on_its_way_as_a_timeout() {
    let memory = Memory::new(seconds(100), vec![Piece::Bytes(b"{}".to_vec())]);
    let service = over(
        &memory,
        BedrockService::builder().operation_timeout(seconds(50)),
    );
    for (deadline, ends_after) in [(20, 20), (80, 50)] {
        let started = Instant::now();
        let context = Context::new().with_deadline(started + seconds(deadline));
        let invocation = service
            .invocation(converse())
            .unwrap()
            .with_context(context);
        let error = send(&service, invocation).await.unwrap_err();
        // Bedrock has seen it, so it is not the deadline's own fault, which says that nothing was sent.
        assert_eq!(error.fault().kind(), FaultKind::Timeout);
        assert_eq!(started.elapsed(), seconds(ends_after));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_begun_in_time_may_go_on_after_the_deadline() {
    let memory = Memory::new(
        seconds(1),
        vec![
            frames(vec![wire::start(), wire::delta("Hi")]),
            Piece::Wait(seconds(60)),
            frames(vec![wire::stop(), wire::metadata()]),
        ],
    );
    let service = over(&memory, BedrockService::builder());
    let context = Context::new().with_deadline(Instant::now() + seconds(10));
    let invocation = service
        .invocation(converse_stream())
        .unwrap()
        .with_context(context);
    let mut stream = send(&service, invocation).await.unwrap();
    while stream.recv().await.unwrap().is_some() {}
}
