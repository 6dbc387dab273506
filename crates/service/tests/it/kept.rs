//! Streams that are kept when they came whole, and given again as streams.

use std::sync::{Arc, Mutex};

use aws_sdk_bedrockruntime::types::{ConverseStreamOutput as Event, ResponseStream};
use tower_bedrock_core::{Cacheable, FaultKind, HasCompletion, HasFault, History, Outcome};
use tower_bedrock_service::{EventStream, KeptEvents, StreamEvent};

use crate::{
    ask, converse_stream, invoke_model_stream,
    server::{Reply, Server},
    service,
    told::Told,
    wire,
};

type Shelf<E> = Arc<Mutex<Vec<KeptEvents<E>>>>;

/// A stream whose events are kept on the shelf when it is whole.
fn shelved<E: StreamEvent>(stream: EventStream<E>) -> (EventStream<E>, Shelf<E>) {
    let shelf = Shelf::default();
    let kept = shelf.clone();
    let stream = stream.when_whole(move |events| kept.lock().unwrap().push(events));
    (stream, shelf)
}

async fn open(frames: &[Vec<u8>]) -> (EventStream<Event>, Shelf<Event>) {
    let server = Server::always(Reply::stream(frames)).await;
    shelved(ask(&service(&server), converse_stream()).await.unwrap())
}

/// Reads a stream to its end.
async fn read<E: StreamEvent>(stream: &mut EventStream<E>) -> Vec<E> {
    let mut events = Vec::new();
    while let Some(event) = stream.recv().await.unwrap() {
        events.push(event);
    }
    events
}

/// What is on the shelf, which must be one answer.
fn only<E>(shelf: &Shelf<E>) -> KeptEvents<E> {
    let shelf = shelf.lock().unwrap();
    assert_eq!(shelf.len(), 1);
    shelf[0].clone()
}

fn is_empty<E>(shelf: &Shelf<E>) -> bool {
    shelf.lock().unwrap().is_empty()
}

#[tokio::test]
async fn a_replay_has_the_same_events_and_no_cost() {
    let (mut stream, shelf) = open(&wire::whole()).await;
    let told = Told::by(&mut stream);
    assert!(is_empty(&shelf));
    let events = read(&mut stream).await;
    assert_eq!(events.len(), 6);
    assert!(told.once().usage.is_some());

    for _ in 0..2 {
        let mut replay = EventStream::again(only(&shelf));
        let told = Told::by(&mut replay);
        assert_eq!(read(&mut replay).await, events);
        assert!(replay.recv().await.unwrap().is_none());
        let completion = told.once();
        assert_eq!(
            (completion.outcome, completion.usage),
            (Outcome::Complete, None)
        );
        assert_eq!(replay.history(), Some(&History::default()));
        assert_eq!(replay.request_id(), None);
    }
    // The texts, and what holds them.
    let bytes = only(&shelf).bytes();
    assert!((6 * size_of::<Event>()..10_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn chunks_are_kept_too() {
    let frames = [
        wire::chunk(r#"{"type":"content_block_delta","delta":{"text":"Hi"}}"#),
        wire::chunk(
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1,"outputTokenCount":2}}"#,
        ),
    ];
    let server = Server::always(Reply::stream(&frames)).await;
    let stream = ask(&service(&server), invoke_model_stream("{}"))
        .await
        .unwrap();
    let (mut stream, shelf): (EventStream<ResponseStream>, _) = shelved(stream);
    let events = read(&mut stream).await;
    assert_eq!(read(&mut EventStream::again(only(&shelf))).await, events);
}

#[tokio::test]
async fn an_answer_that_came_at_once_is_kept_at_once() {
    let frames = [wire::chunk(
        r#"{"outputText":"Hi","amazon-bedrock-invocationMetrics":{"inputTokenCount":1,"outputTokenCount":2}}"#,
    )];
    let server = Server::always(Reply::stream(&frames)).await;
    let stream = ask(&service(&server), invoke_model_stream("{}"))
        .await
        .unwrap();
    let (stream, shelf) = shelved(stream);
    assert_eq!(read(&mut EventStream::again(only(&shelf))).await.len(), 1);
    drop(stream);
}

#[tokio::test]
async fn a_replay_that_is_kept_again_is_the_same() {
    let (mut stream, shelf) = open(&wire::whole()).await;
    let events = read(&mut stream).await;
    let (replay, again) = shelved(EventStream::again(only(&shelf)));
    drop(replay);
    assert_eq!(read(&mut EventStream::again(only(&again))).await, events);
}

#[tokio::test]
async fn a_replay_that_is_dropped_tells_so() {
    let (mut stream, shelf) = open(&wire::whole()).await;
    read(&mut stream).await;
    let mut replay = EventStream::again(only(&shelf));
    let told = Told::by(&mut replay);
    replay.recv().await.unwrap();
    drop(replay);
    assert_eq!(told.once().outcome, Outcome::Dropped);
}

#[tokio::test]
async fn what_breaks_off_is_not_kept() {
    let whole = wire::whole();
    let fails = wire::exception("internalServerException", "Oops.");
    let broken = [
        // Cut at each event after the first content.
        whole[..2].to_vec(),
        whole[..3].to_vec(),
        whole[..4].to_vec(),
        // An exception, also after the message has stopped.
        [&whole[..3], std::slice::from_ref(&fails)].concat(),
        [&whole[..5], std::slice::from_ref(&fails)].concat(),
        // A bad checksum.
        [&whole[..3], &[wire::corrupt(wire::delta("!"))], &whole[3..]].concat(),
    ];
    for (index, frames) in broken.iter().enumerate() {
        let (mut stream, shelf) = open(frames).await;
        let error = loop {
            match stream.recv().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{index}: a clean end"),
                Err(error) => break error,
            }
        };
        assert_ne!(error.fault().kind(), FaultKind::Validation);
        drop(stream);
        assert!(is_empty(&shelf), "{index}");
    }
}

#[tokio::test]
async fn what_is_dropped_half_way_is_not_kept() {
    for read in 0..5 {
        let (mut stream, shelf) = open(&wire::whole()).await;
        for _ in 0..read {
            stream.recv().await.unwrap();
        }
        drop(stream);
        assert!(is_empty(&shelf), "{read} events read");
    }
}

#[tokio::test]
async fn a_stream_without_its_last_event_is_read_and_not_kept() {
    let (mut stream, shelf) = open(&wire::whole()[..5]).await;
    assert_eq!(read(&mut stream).await.len(), 5);
    drop(stream);
    assert!(is_empty(&shelf));

    // A model whose chunks do not tell an end, cut between two of them.
    let chunk = wire::chunk(r#"{"generation":"Hi"}"#);
    let server = Server::always(Reply::stream(&[chunk.clone(), chunk])).await;
    let stream = ask(&service(&server), invoke_model_stream("{}"))
        .await
        .unwrap();
    let (mut stream, shelf): (EventStream<ResponseStream>, _) = shelved(stream);
    assert_eq!(read(&mut stream).await.len(), 2);
    drop(stream);
    assert!(is_empty(&shelf));
}

#[tokio::test]
async fn all_who_ask_for_it_keep_it() {
    let (stream, outer) = open(&wire::whole()).await;
    let (mut stream, inner) = shelved(stream);
    let events = read(&mut stream).await;
    for shelf in [outer, inner] {
        assert_eq!(read(&mut EventStream::again(only(&shelf))).await, events);
    }
}

#[tokio::test]
async fn events_of_ones_own_are_a_stream() {
    let (mut stream, shelf) = open(&wire::whole()).await;
    let events = read(&mut stream).await;
    let own = KeptEvents::new(events.clone());
    assert_eq!(own.bytes(), only(&shelf).bytes());
    assert_eq!(read(&mut EventStream::again(own)).await, events);
}

#[tokio::test]
async fn what_nobody_could_keep_is_not_taken_down() {
    let large = wire::delta(&"x".repeat(1 << 20));
    let traced = wire::event(
        "metadata",
        r#"{"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":5},
            "trace":{"guardrail":{"modelOutput":["a long text"]}}}"#,
    );
    let whole = wire::whole();
    let too_much = [
        [&whole[..1], &vec![large; 9], &whole[3..]].concat(),
        [&whole[..5], &[traced]].concat(),
        [
            &whole[..3],
            &[wire::event("somethingNew", "{}")],
            &whole[3..],
        ]
        .concat(),
    ];
    for (index, frames) in too_much.iter().enumerate() {
        let (mut stream, shelf) = open(frames).await;
        read(&mut stream).await;
        assert!(is_empty(&shelf), "{index}");
    }
}

#[tokio::test]
async fn who_asks_after_the_first_event_was_read_gets_nothing() {
    let server = Server::always(Reply::stream(&wire::whole())).await;
    let mut stream = ask(&service(&server), converse_stream()).await.unwrap();
    stream.recv().await.unwrap();
    let (mut stream, shelf) = shelved(stream);
    read(&mut stream).await;
    assert!(is_empty(&shelf), "it would lack the first");
}
