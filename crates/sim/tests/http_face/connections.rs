use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{CLAUDE, Server, hello};

#[tokio::test]
async fn shutting_down_lets_a_stream_finish() {
    let server = Server::start().await;
    let mut body = hello();
    body["inferenceConfig"]["maxTokens"] = json!(2_000);
    let stream = server.open(CLAUDE, "converse-stream", &body).await;
    let simulator = server.simulator.clone();
    let address = server.address;
    let (body, served) = tokio::join!(http_body_util::BodyExt::collect(stream), server.shut_down());
    assert!(!body.unwrap().to_bytes().is_empty());
    served.unwrap();
    assert_eq!(simulator.ledger().entries[0].outcome, "ok");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_call() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /model/{CLAUDE}/converse HTTP/1.1\r\nhost: sim\r\ncontent-length: 100\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    drop(socket);
    // The server is still well.
    assert_eq!(server.call(CLAUDE, "converse", &hello()).await.status, 200);
    assert!(
        server
            .simulator
            .ledger()
            .entries
            .iter()
            .all(|entry| entry.outcome != "in_flight")
    );
}

#[tokio::test]
async fn what_is_not_http_does_no_harm() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket
        .write_all(b"\x16\x03\x01 hello?\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    assert_eq!(server.call(CLAUDE, "converse", &hello()).await.status, 200);
}
