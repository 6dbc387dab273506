//! Streams: the commit point, honest ends, completion told once.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use aws_sdk_bedrockruntime::types::ConverseStreamOutput as Event;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Duration;
use tower_bedrock_core::{FaultKind, HasFault, Outcome, TokenUsage};
use tower_bedrock_service::{BedrockService, ConverseEvents, Error};

use crate::{
    ask, aws_config, converse_stream,
    memory::{Memory, Piece},
    server::{Reply, Server},
    service,
    told::Told,
    wire,
};

const USAGE: TokenUsage = TokenUsage {
    input: 10,
    output: 750,
    cache_read: 3,
    cache_write: 4,
};

async fn open(reply: Reply) -> (Server, Result<ConverseEvents, Error>) {
    let server = Server::always(reply).await;
    let result = ask(&service(&server), converse_stream()).await;
    server.only_request();
    (server, result)
}

fn name(event: &Event) -> String {
    match event {
        Event::MessageStart(_) => "start".to_owned(),
        Event::ContentBlockStart(_) => "block start".to_owned(),
        Event::ContentBlockDelta(event) => event.delta().unwrap().as_text().unwrap().clone(),
        Event::ContentBlockStop(_) => "block stop".to_owned(),
        Event::MessageStop(_) => "stop".to_owned(),
        Event::Metadata(_) => "metadata".to_owned(),
        _ => "unknown".to_owned(),
    }
}

const WHOLE: [&str; 6] = ["start", "Hel", "lo.", "block stop", "stop", "metadata"];

#[tokio::test]
async fn a_whole_stream_replays_what_was_read_ahead_and_tells_its_cost() {
    let (_server, stream) = open(Reply::stream(&wire::whole())).await;
    let mut stream = stream.unwrap();
    let told = Told::by(&mut stream);
    assert_eq!(stream.request_id(), Some("request-1"));

    let mut names = Vec::new();
    while let Some(event) = stream.recv().await.unwrap() {
        names.push(name(&event));
    }
    assert_eq!(names, WHOLE);
    assert!(stream.recv().await.unwrap().is_none());
    drop(stream);

    let completion = told.once();
    assert_eq!(completion.outcome, Outcome::Complete);
    assert_eq!(completion.usage, Some(USAGE));
    assert!(completion.time_to_first_token.is_some());
}

#[tokio::test]
async fn it_is_a_stream_of_futures_core() {
    let (_server, stream) = open(Reply::stream(&wire::whole())).await;
    let names: Vec<_> = stream
        .unwrap()
        .map_ok(|event| name(&event))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(names, WHOLE);
}

#[tokio::test]
async fn an_observer_that_comes_after_the_end_is_told_at_once() {
    let (_server, stream) = open(Reply::stream(&wire::whole())).await;
    let mut stream = stream.unwrap();
    while stream.recv().await.unwrap().is_some() {}
    assert_eq!(Told::by(&mut stream).once().usage, Some(USAGE));
}

// === before the first content: an error of the call ===

#[tokio::test]
async fn an_exception_before_the_first_content_is_an_error_of_the_call() {
    let table = [
        (
            "throttlingException",
            "Too many tokens, please wait.",
            FaultKind::ThrottledTokens,
        ),
        (
            "throttlingException",
            "Too many requests.",
            FaultKind::ThrottledRequests,
        ),
        (
            "serviceUnavailableException",
            "Too many connections.",
            FaultKind::TooManyConnections,
        ),
        ("internalServerException", "Oops.", FaultKind::Internal),
        (
            "modelStreamErrorException",
            "Broken.",
            FaultKind::ModelStreamError,
        ),
        ("validationException", "Wrong.", FaultKind::Validation),
        // One that the SDK does not know inside this stream.
        ("modelTimeoutException", "Late.", FaultKind::ModelTimeout),
    ];
    for (exception, message, kind) in table {
        let frame = wire::exception(exception, message);
        for before in [vec![], vec![wire::start()]] {
            let frames = [before, vec![frame.clone()]].concat();
            let error = open(Reply::stream(&frames)).await.1.unwrap_err();
            assert_eq!(error.fault().kind(), kind, "{exception}: {message}");
            assert_eq!(error.exception(), Some(exception));
            assert_eq!(error.message(), Some(message));
            assert_eq!(error.request_id(), Some("request-1"));
            assert_eq!(error.status(), None);
        }
    }
}

#[tokio::test]
async fn an_error_frame_before_the_first_content_is_an_error_of_the_call() {
    let frames = [wire::error("ThrottlingException", "Too many requests.")];
    let error = open(Reply::stream(&frames)).await.1.unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::ThrottledRequests);
    assert_eq!(error.message(), Some("Too many requests."));
}

#[tokio::test]
async fn a_stream_that_breaks_before_the_first_content_is_an_error_of_the_call() {
    let start = wire::start();
    let half = start[..start.len() / 2].to_vec();
    let replies = [
        ("no frame, clean end", Reply::stream(&[])),
        (
            "one frame, clean end",
            Reply::stream(std::slice::from_ref(&start)),
        ),
        ("no frame, cut", Reply::cut_stream(&[])),
        (
            "one frame, cut",
            Reply::cut_stream(std::slice::from_ref(&start)),
        ),
        (
            "half a frame, clean end",
            Reply::stream(std::slice::from_ref(&half)),
        ),
        ("half a frame, cut", Reply::cut_stream(&[half])),
        (
            "bad checksum",
            Reply::stream(&[wire::corrupt(start.clone()), start]),
        ),
    ];
    for (what, reply) in replies {
        let error = open(reply).await.1.expect_err(what);
        assert_eq!(error.fault().kind(), FaultKind::Transport, "{what}");
    }
}

#[tokio::test]
async fn a_peer_that_never_comes_to_the_content_cannot_fill_the_memory() {
    let frames: Vec<_> = std::iter::repeat_n(wire::start(), 100).collect();
    let mut stream = open(Reply::stream(&frames)).await.1.unwrap();
    let told = Told::by(&mut stream);
    let mut events = 0;
    let error = loop {
        match stream.recv().await {
            Ok(event) => assert!(event.is_some()),
            Err(error) => break error,
        }
        events += 1;
    };
    assert_eq!(events, 100);
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    assert_eq!(told.once().outcome, Outcome::Failed(error.fault()));
}

// === after it: an explicit error, never a clean end ===

#[tokio::test]
async fn what_breaks_after_the_first_content_is_an_explicit_error() {
    let throttle = wire::exception("throttlingException", "Too many tokens, please wait.");
    let delta = || vec![wire::start(), wire::delta("Hel")];
    let with = |more: Vec<Vec<u8>>| [delta(), more].concat();
    let half = wire::delta("lo.")[..30].to_vec();
    let prelude = wire::delta("lo.")[..12].to_vec();
    let table = [
        (
            "exception",
            Reply::stream(&with(vec![throttle.clone()])),
            FaultKind::ThrottledTokens,
        ),
        (
            "exception after messageStop",
            Reply::stream(&with(vec![wire::stop(), throttle])),
            FaultKind::ThrottledTokens,
        ),
        (
            "error frame",
            Reply::stream(&with(vec![wire::error("InternalServerException", "Oops.")])),
            FaultKind::Internal,
        ),
        ("cut", Reply::cut_stream(&delta()), FaultKind::Transport),
        ("clean end", Reply::stream(&delta()), FaultKind::Transport),
        (
            "clean end after the block",
            Reply::stream(&with(vec![wire::block_stop()])),
            FaultKind::Transport,
        ),
        (
            "metadata without messageStop",
            Reply::stream(&with(vec![wire::metadata()])),
            FaultKind::Transport,
        ),
        (
            "half a frame",
            Reply::stream(&with(vec![half])),
            FaultKind::Transport,
        ),
        (
            "a frame's prelude alone",
            Reply::stream(&with(vec![prelude])),
            FaultKind::Transport,
        ),
        (
            "bad checksum",
            Reply::stream(&with(vec![wire::corrupt(wire::delta("lo.")), wire::stop()])),
            FaultKind::Transport,
        ),
    ];
    for (what, reply, kind) in table {
        let mut stream = open(reply).await.1.expect(what);
        let told = Told::by(&mut stream);
        let items: Vec<_> = stream.by_ref().collect().await;
        let (last, events) = items.split_last().unwrap();
        assert!(events.iter().all(Result::is_ok), "{what}");
        assert!(events.len() >= 2, "{what}");
        let error = last.as_ref().expect_err(what);
        assert_eq!(error.fault().kind(), kind, "{what}");
        assert_eq!(error.request_id(), Some("request-1"), "{what}");
        // Nothing follows, however often it is asked for.
        assert!(stream.recv().await.unwrap().is_none(), "{what}");
        drop(stream);
        assert_eq!(
            told.once().outcome,
            Outcome::Failed(error.fault()),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_stream_may_end_without_metadata() {
    let frames = [wire::start(), wire::delta("Hi"), wire::stop()];
    let mut stream = open(Reply::stream(&frames)).await.1.unwrap();
    let told = Told::by(&mut stream);
    while stream.recv().await.unwrap().is_some() {}
    let completion = told.once();
    assert_eq!(
        (completion.outcome, completion.usage),
        (Outcome::Complete, None)
    );
}

#[tokio::test]
async fn once_all_has_arrived_the_connections_end_does_not_matter() {
    let mut stream = open(Reply::cut_stream(&wire::whole())).await.1.unwrap();
    let told = Told::by(&mut stream);
    while stream.recv().await.unwrap().is_some() {}
    assert_eq!(told.once().outcome, Outcome::Complete);
}

#[tokio::test]
async fn a_reader_may_stop_at_the_last_event() {
    let mut stream = open(Reply::stream(&wire::whole())).await.1.unwrap();
    let told = Told::by(&mut stream);
    while !matches!(stream.recv().await.unwrap(), Some(Event::Metadata(_))) {}
    drop(stream);
    assert_eq!(told.once().outcome, Outcome::Complete);
}

// === dropping ===

#[tokio::test]
async fn a_stream_dropped_before_its_end_says_so_once_and_hangs_up() {
    let frames = [wire::start(), wire::delta("Hel")];
    let (server, stream) = open(Reply::cut_stream(&frames).hang()).await;
    let mut stream = stream.unwrap();
    let told = Told::by(&mut stream);
    stream.recv().await.unwrap();
    assert!(told.all().is_empty());

    drop(stream);
    let completion = told.once();
    assert_eq!(
        (completion.outcome, completion.usage),
        (Outcome::Dropped, None)
    );
    server.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn no_event_is_lost_when_a_read_is_dropped() {
    // Byte by byte, so that a read is abandoned amid every part of a frame.
    let bytes = wire::whole().concat();
    let pieces = bytes
        .iter()
        .flat_map(|byte| {
            [
                Piece::Bytes(vec![*byte]),
                Piece::Wait(Duration::from_millis(1)),
            ]
        })
        .collect();
    let memory = Memory::new(Duration::ZERO, pieces);
    let config = aws_config().http_client(memory).build();
    let service = BedrockService::new(&config).unwrap();
    let mut stream = ask(&service, converse_stream()).await.unwrap();

    let mut names = Vec::new();
    loop {
        // Polled once, and dropped where it has nothing.
        let polled = pin!(stream.recv()).poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            Poll::Ready(Ok(Some(event))) => names.push(name(&event)),
            Poll::Ready(end) => {
                assert!(end.unwrap().is_none());
                break;
            }
            Poll::Pending => tokio::time::sleep(Duration::from_micros(100)).await,
        }
    }
    assert_eq!(names, WHOLE);
}
