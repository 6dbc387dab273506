//! What clients are allowed: sizes, times, numbers.

use std::time::Duration;

use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    self, BODY, CONVERSE, CONVERSE_STREAM, Call, Fake, Running,
    frames::{Whole, event},
    soon,
};

const MAX: usize = 25_000_000;

async fn connect(gateway: &Running, send: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(send.as_bytes()).await.unwrap();
    stream
}

/// What comes until the gateway closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn the_largest_body_passes_and_one_byte_more_does_not() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let invoke = "/model/a.b/invoke";
    let (answer, ()) = tokio::join!(gateway.post(invoke, vec![b'x'; MAX]), async {
        let call = fake.call().await;
        assert_eq!(call.body.len(), MAX);
        call.answer(200, &[], "{}").await;
    });
    assert_eq!(answer.status, 200);

    let message = gateway
        .post(invoke, vec![b'x'; MAX + 1])
        .await
        .error(400, "ValidationException");
    assert!(message.contains("25000000"), "{message}");
    assert!(!fake.was_called());
}

#[tokio::test]
async fn a_body_that_finds_no_room_is_turned_away_and_later_ones_are_not() {
    let fake = Fake::new().await;
    let more = "[server]\nmax_body_bytes = 100000\nmax_buffered_bytes = 100000";
    let gateway = Running::new(&fake, more).await;
    fake.answer_all();
    let post = || gateway.post("/model/a.b/invoke", vec![b'x'; 50_000]);

    let head = "POST /model/a.b/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: 90000\r\n\r\n";
    let mut slow = connect(&gateway, head).await;
    slow.write_all(&[b'x'; 80_000]).await.unwrap();
    // There is room until the gateway has read what was sent.
    let refused = loop {
        let answer = post().await;
        if answer.status != 200 {
            break answer;
        }
    };
    refused.error(503, "ServiceUnavailableException");
    drop(slow);
    // There is room again once it has seen that the client is gone.
    while post().await.status != 200 {}
}

#[tokio::test]
async fn an_answer_larger_than_what_is_kept_is_streamed() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[server]\nmax_body_bytes = 1000").await;
    let large: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        fake.call().await.answer(200, &[], &large).await;
    });
    assert_eq!(answer.body, large);

    let request = Request::post(CONVERSE).body(BODY.into()).unwrap();
    let (response, ()) = tokio::join!(gateway.open(request), async {
        let mut call = fake.call().await;
        call.send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            .await;
        call.send(&large[..50_000]).await;
        call.close();
    });
    assert!(support::read(response).await.is_err());
}

#[tokio::test]
async fn a_head_and_a_body_that_do_not_come_are_not_waited_for() {
    let mut fake = Fake::new().await;
    // A slow machine may take a while to read a head that is there.
    let more = "[server]\nidle_timeout = \"1s\"\nbody_timeout = \"50ms\"";
    let gateway = Running::new(&fake, more).await;

    let mut idle = connect(&gateway, "").await;
    assert_eq!(rest(&mut idle).await, "");
    let mut half_a_head = connect(&gateway, "POST /model/a.b/converse HTTP/1.1\r\nho").await;
    rest(&mut half_a_head).await;
    let head = format!("POST {CONVERSE} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{");
    let mut half_a_body = connect(&gateway, &head).await;
    let answer = rest(&mut half_a_body).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("longer than 50ms"), "{answer}");
    assert!(!fake.was_called());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_and_its_call_with_it() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[server]\nwrite_timeout = \"100ms\"").await;
    let head = format!(
        "POST {CONVERSE_STREAM} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let _never_reads = connect(&gateway, &head).await;
    let mut call = fake.call().await;
    call.begin_stream().await;
    let whole = Whole::converse();
    call.chunk(&whole.opening).await;
    // More than any socket buffers: sending ends because the gateway hangs up. Few events, so that a slow machine gets
    // there soon.
    let delta =
        r#"{"contentBlockIndex":0,"delta":{"text":"TEXT"}}"#.replace("TEXT", &"x".repeat(100_000));
    let long = event("contentBlockDelta", &delta);
    let endless = async {
        while fake.open() > 0 {
            call.chunk(&long).await;
            if closed(&mut call).await {
                break;
            }
        }
    };
    soon(endless).await;
}

/// Whether the gateway has hung up, without waiting for it.
async fn closed(call: &mut Call) -> bool {
    tokio::time::timeout(Duration::ZERO, call.closed())
        .await
        .is_ok()
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "[server]\nmax_connections = 1").await;
    let begun = Whole::converse().begun();
    let (first, mut call) = gateway.begin(&mut fake, CONVERSE_STREAM, &begun).await;
    let mut second = Box::pin(gateway.post(CONVERSE, BODY));
    tokio::select! {
        _ = &mut second => panic!("served beside the first"),
        _ = fake.call() => panic!("called beside the first"),
        () = tokio::time::sleep(Duration::from_millis(100)) => {}
    }
    drop(first);
    call.closed().await;
    drop(call);
    let (answer, ()) = tokio::join!(second, async {
        fake.call().await.answer(200, &[], "{}").await;
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let mut stream = connect(&gateway, "GET /async-invoke HTTP/1.1\r\nx-huge: ").await;
    // What it does not read, it answers with a closed connection.
    let _ = stream.write_all(&[b'x'; 1_000_000]).await;
    let answer = rest(&mut stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(fake.open(), 0);
}

#[tokio::test]
async fn what_passes_through_has_the_time_that_its_client_gives_it() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let request =
        Request::post("/guardrail/g/version/1/apply").header("x-tower-bedrock-timeout", "2");
    let request = request.body(BODY.into()).unwrap();
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        // Never answered.
        fake.call().await.closed().await;
    });
    answer.error(408, "ModelTimeoutException");
}
