//! A gateway that is told to stop.

use std::io::ErrorKind;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{CONVERSE_STREAM, Call, Fake, Running, frames::Whole, next, soon};

async fn begin(gateway: &Running, fake: &mut Fake) -> (Incoming, Call) {
    let whole = Whole::converse();
    let (response, call) = gateway.begin(fake, CONVERSE_STREAM, &whole.begun()).await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    (body, call)
}

#[tokio::test]
async fn calls_under_way_finish_and_new_ones_are_not_taken() {
    let mut fake = Fake::new().await;
    let mut gateway = Running::new(&fake, "").await;
    let whole = Whole::converse();
    let (mut body, mut call) = begin(&gateway, &mut fake).await;
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut healthy = [0; 15];
    soon(idle.read_exact(&mut healthy)).await.unwrap();
    assert_eq!(&healthy, b"HTTP/1.1 200 OK");
    gateway.stop();
    // An idle connection is closed at once; from then on nobody is let in.
    // How depends on what the kernel still had to deliver: a clean end, or a reset.
    let end = soon(idle.read_to_end(&mut Vec::new())).await;
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert!(TcpStream::connect(gateway.address).await.is_err());

    call.chunk(&whole.content).await;
    assert_eq!(next(&mut body).await.unwrap().unwrap(), whole.content);
    call.chunk(&whole.closing).await;
    call.end_stream().await;
    assert_eq!(body.collect().await.unwrap().to_bytes(), whole.closing);
    gateway.ended().await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_broken_off_and_is_no_clean_end() {
    let mut fake = Fake::new().await;
    let mut gateway = Running::new(&fake, "[server]\ndrain_timeout = \"50ms\"").await;
    let (mut body, mut call) = begin(&gateway, &mut fake).await;
    gateway.stop();
    assert!(next(&mut body).await.unwrap().is_err());
    call.closed().await;
    gateway.ended().await;
}
