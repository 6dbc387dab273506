//! Streams: as they arrive, whole or an explicit error.

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::support::{
    CONVERSE_STREAM, Fake, INVOKE_STREAM, Running, eventually,
    frames::{Whole, corrupt, event, exception, names},
    next, read, tasks,
};

fn both() -> [(&'static str, Whole); 2] {
    [
        (CONVERSE_STREAM, Whole::converse()),
        (INVOKE_STREAM, Whole::invoke()),
    ]
}

/// The next so many bytes, however they were cut on the way.
async fn arrived(body: &mut hyper::body::Incoming, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(&next(body).await.unwrap().unwrap());
    }
    bytes
}

/// What a broken stream's client gets: all bytes up to the break, and whether the body ended cleanly.
async fn read_broken(response: http::Response<hyper::body::Incoming>) -> (Vec<u8>, bool) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    loop {
        match next(&mut body).await {
            Some(Ok(part)) => bytes.extend_from_slice(&part),
            Some(Err(_)) => return (bytes, false),
            None => return (bytes, true),
        }
    }
}

#[tokio::test]
async fn a_whole_stream_passes_byte_for_byte() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        let (response, ()) = tokio::join!(gateway.open_stream(path), async {
            let mut call = fake.call().await;
            call.begin_stream().await;
            // In pieces that are no frames.
            for piece in whole.bytes().chunks(7) {
                call.chunk(piece).await;
            }
            call.end_stream().await;
        });
        let answer = read(response).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.amazon.eventstream"
        );
        assert_eq!(answer.header("x-amzn-requestid"), "upstream-id");
        assert_eq!(answer.body, whole.bytes());
    }
}

#[tokio::test]
async fn events_arrive_before_the_stream_has_ended() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        let (response, mut call) = gateway.begin(&mut fake, path, &whole.begun()).await;
        let mut body = response.into_body();
        assert_eq!(arrived(&mut body, whole.begun().len()).await, whole.begun());
        for _ in 0..3 {
            call.chunk(&whole.content).await;
            let event = arrived(&mut body, whole.content.len()).await;
            assert_eq!(event, whole.content);
        }
        call.chunk(&whole.closing).await;
        call.end_stream().await;
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(rest, whole.closing);
    }
}

/// Each piece costs the gateway and the client as much as all frames in it together.
#[tokio::test]
async fn events_that_come_together_go_on_together() {
    const EVENTS: usize = 40;
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        let (response, mut call) = gateway.begin(&mut fake, path, &whole.begun()).await;
        let mut body = response.into_body();
        assert_eq!(arrived(&mut body, whole.begun().len()).await, whole.begun());

        let mut chunks = Vec::new();
        for event in [&whole.content]
            .repeat(EVENTS)
            .into_iter()
            .chain([&whole.closing])
        {
            chunks.extend(format!("{:x}\r\n", event.len()).bytes());
            chunks.extend(event);
            chunks.extend(b"\r\n");
        }
        call.send(chunks).await;
        call.end_stream().await;
        let (mut rest, mut pieces) = (Vec::new(), 0);
        while let Some(piece) = next(&mut body).await {
            rest.extend_from_slice(&piece.unwrap());
            pieces += 1;
        }
        assert_eq!(rest, [whole.content.repeat(EVENTS), whole.closing].concat());
        assert!(pieces < EVENTS / 4, "{pieces} pieces");
    }
}

#[tokio::test]
async fn an_answer_without_content_is_whole_all_the_same() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        let bytes = [&whole.opening[..], &whole.closing].concat();
        let (response, call) = gateway.begin(&mut fake, path, &bytes).await;
        call.end_stream().await;
        assert_eq!(read(response).await.unwrap().body, bytes);
    }
}

#[tokio::test]
async fn an_exception_before_the_first_content_is_an_error_of_the_call() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let cases = [
        ("throttlingException", 429, "ThrottlingException"),
        (
            "modelStreamErrorException",
            424,
            "ModelStreamErrorException",
        ),
        ("internalServerException", 500, "InternalServerException"),
        (
            "serviceUnavailableException",
            503,
            "ServiceUnavailableException",
        ),
        ("validationException", 400, "ValidationException"),
        ("modelTimeoutException", 408, "ModelTimeoutException"),
    ];
    for (path, whole) in both() {
        for (name, status, exception_type) in cases {
            for opening in [&[][..], &whole.opening] {
                let sent = [opening, &exception(name, "please wait")].concat();
                let (response, call) = gateway.begin(&mut fake, path, &sent).await;
                call.end_stream().await;
                let message = read(response).await.unwrap().error(status, exception_type);
                assert_eq!(message, "please wait");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_before_the_first_content_is_an_error_of_the_call() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        let openings = [
            vec![],
            whole.opening.clone(),
            whole.opening[..whole.opening.len() - 1].to_vec(),
            corrupt(whole.opening.clone()),
            b"<html>this is no event stream</html>".to_vec(),
        ];
        for opening in openings {
            for end in ["reset", "close", "clean"] {
                let (response, ()) = tokio::join!(gateway.open_stream(path), async {
                    let mut call = fake.call().await;
                    call.begin_stream().await;
                    call.chunk(&opening).await;
                    match end {
                        "reset" => call.reset(),
                        "close" => call.close(),
                        _ => call.end_stream().await,
                    }
                });
                let answer = read(response).await.unwrap();
                answer.error(503, "ServiceUnavailableException");
            }
        }
    }
}

#[tokio::test]
async fn an_exception_after_content_is_forwarded_as_it_is() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        let failed = exception("modelStreamErrorException", "went wrong");
        let sent = [whole.begun(), failed].concat();
        let (response, call) = gateway.begin(&mut fake, path, &sent).await;
        call.end_stream().await;
        assert_eq!(read(response).await.unwrap().body, sent);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_with_an_exception_and_no_clean_end() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        for end in ["reset", "close", "clean", "corrupt", "half a frame"] {
            let (response, mut call) = gateway.begin(&mut fake, path, &whole.begun()).await;
            let ((bytes, clean), ()) = tokio::join!(read_broken(response), async {
                match end {
                    "reset" => call.reset(),
                    "close" => call.close(),
                    "clean" => call.end_stream().await,
                    "corrupt" => {
                        call.chunk(corrupt(whole.content.clone())).await;
                        // The gateway does not wait for what may follow.
                        call.closed().await;
                    }
                    _ => {
                        call.chunk(&whole.content[..20]).await;
                        call.close();
                    }
                }
            });
            let names = names(&bytes);
            assert_eq!(
                names.last().unwrap(),
                "exception: modelStreamErrorException",
                "{end}"
            );
            assert_eq!(names.len(), 3, "{end}: {names:?}");
            assert!(!clean, "{end}");
        }
    }
    eventually("no connection is left", || fake.open() <= 1).await;
}

#[tokio::test]
async fn all_events_before_a_break_arrive_also_those_that_came_with_it() {
    const EVENTS: usize = 5;
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        for end in ["corrupt", "reset"] {
            let (response, mut call) = gateway.begin(&mut fake, path, &whole.begun()).await;
            let ((bytes, clean), ()) = tokio::join!(read_broken(response), async {
                let mut piece = whole.content.repeat(EVENTS);
                if end == "corrupt" {
                    piece.extend(corrupt(whole.content.clone()));
                    piece.extend(&whole.closing);
                }
                call.chunk(piece).await;
                match end {
                    "corrupt" => call.closed().await,
                    _ => call.reset(),
                }
            });
            let before = [whole.begun(), whole.content.repeat(EVENTS)].concat();
            assert!(bytes.starts_with(&before), "{end}");
            let added = names(&bytes[before.len()..]);
            assert_eq!(added, ["exception: modelStreamErrorException"], "{end}");
            assert!(!clean, "{end}");
        }
    }
}

#[tokio::test]
async fn once_all_has_come_it_does_not_matter_how_the_connection_ends() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    for (path, whole) in both() {
        for end in ["reset", "close", "corrupt", "half a frame", "silence"] {
            let (response, mut call) = gateway.begin(&mut fake, path, &whole.bytes()).await;
            let mut body = response.into_body();
            let answer = arrived(&mut body, whole.bytes().len()).await;
            assert_eq!(answer, whole.bytes());
            match end {
                "reset" => call.reset(),
                "close" => call.close(),
                "corrupt" => call.chunk(corrupt(whole.content.clone())).await,
                "half a frame" => {
                    call.chunk(&whole.content[..20]).await;
                    call.close();
                }
                _ => call.closed().await,
            }
            assert!(next(&mut body).await.is_none(), "{end}");
        }
    }
}

#[tokio::test]
async fn more_than_goes_out_in_one_piece_arrives_whole() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let long = event("contentBlockDelta", &"x".repeat(100_000));
    let short = event("contentBlockDelta", &"y".repeat(1_000));
    let closing = Whole::converse().closing;
    let sent = [long.clone(), short.repeat(300), long, closing].concat();
    let (response, call) = gateway.begin(&mut fake, CONVERSE_STREAM, &sent).await;
    let (answer, ()) = tokio::join!(read(response), call.end_stream());
    assert!(answer.unwrap().body == sent);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_call() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let whole = Whole::converse();
    let at_rest = tasks();

    // In the middle of a stream.
    let (response, mut call) = gateway
        .begin(&mut fake, CONVERSE_STREAM, &whole.begun())
        .await;
    drop(response);
    call.closed().await;
    drop(call);

    // Before the stream has committed, and before there is any answer.
    for begin in [true, false] {
        let mut waiting = Box::pin(gateway.open_stream(CONVERSE_STREAM));
        let mut call = tokio::select! {
            _ = &mut waiting => panic!("answered"),
            call = fake.call() => call,
        };
        if begin {
            call.begin_stream().await;
            call.chunk(&whole.opening).await;
        }
        drop(waiting);
        call.closed().await;
    }
    eventually("no connection is left", || fake.open() == 0).await;
    eventually("no task is left", || tasks() <= at_rest).await;
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let at_rest = tasks();
    let texts: Vec<_> = (0..32).map(|n| format!("{{\"n\":{n}}}")).collect();
    let serve = async {
        let mut calls = Vec::new();
        for _ in &texts {
            let mut call = fake.call().await;
            call.begin_stream().await;
            call.chunk(event("messageStart", "{}")).await;
            calls.push(call);
        }
        // All are open at once.
        for mut call in calls {
            let echo = String::from_utf8(call.body.clone()).unwrap();
            call.chunk(event("contentBlockDelta", &echo)).await;
            call.chunk(event("messageStop", "{}")).await;
            call.end_stream().await;
        }
    };
    let read_all = futures_util::future::join_all(texts.iter().map(|text| async {
        let request = http::Request::post(CONVERSE_STREAM);
        let response = gateway.open(request.body(Bytes::from(text.clone())).unwrap());
        let answer = read(response.await).await.unwrap();
        let delta = event("contentBlockDelta", text);
        assert!(
            answer
                .body
                .windows(delta.len())
                .any(|window| window == delta)
        );
    }));
    tokio::join!(serve, read_all);
    // Each connection that is kept has a task on either side, and their pool has one.
    eventually("only idle connections are left", || {
        tasks() <= at_rest + 2 * fake.open() + 1
    })
    .await;
}
