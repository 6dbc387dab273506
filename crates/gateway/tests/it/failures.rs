//! An upstream that fails: an explicit error each time, and a gateway that lives on.

use http::Request;

use crate::support::{
    self, BODY, CONVERSE, CONVERSE_STREAM, Fake, Running, eventually, read, tasks,
};

/// The gateway serves, and holds nothing but the connection of this call.
async fn assert_healthy(gateway: &Running, fake: &mut Fake, at_rest: usize) {
    let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
        let mut call = fake.call().await;
        call.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
            .await;
        call.close();
    });
    assert_eq!(answer.text(), "{}");
    eventually("no connection is left", || fake.open() == 0).await;
    eventually("no task is left", || tasks() <= at_rest).await;
}

#[tokio::test]
async fn an_upstream_that_dies_in_the_middle_of_a_unary_answer() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let at_rest = tasks();
    let parts = [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"output\":",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"out\r\n",
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 100\r\n\r\n{\"mess",
        "this is no HTTP\r\n\r\n",
    ];
    for part in parts {
        for reset in [true, false] {
            let (answer, ()) = tokio::join!(gateway.post(CONVERSE, BODY), async {
                let mut call = fake.call().await;
                call.send(part).await;
                if reset { call.reset() } else { call.close() }
            });
            answer.error(503, "ServiceUnavailableException");
            assert_healthy(&gateway, &mut fake, at_rest).await;
        }
    }
}

#[tokio::test]
async fn an_upstream_that_dies_before_the_headers_of_a_stream() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let at_rest = tasks();
    let (response, ()) = tokio::join!(gateway.open_stream(CONVERSE_STREAM), async {
        fake.call().await.reset();
    });
    read(response)
        .await
        .unwrap()
        .error(503, "ServiceUnavailableException");
    assert_healthy(&gateway, &mut fake, at_rest).await;
}

#[tokio::test]
async fn an_upstream_that_dies_in_a_passed_through_answer_is_no_clean_end() {
    let mut fake = Fake::new().await;
    let gateway = Running::new(&fake, "").await;
    let at_rest = tasks();
    let request = Request::get("/async-invoke")
        .body(bytes::Bytes::new())
        .unwrap();
    let (response, ()) = tokio::join!(gateway.open(request), async {
        let mut call = fake.call().await;
        call.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
        call.reset();
    });
    assert!(read(response).await.is_err());
    assert_healthy(&gateway, &mut fake, at_rest).await;
}

#[tokio::test]
async fn an_upstream_that_nobody_answers_at() {
    let fake = Fake::new().await;
    // A port that was free a moment ago.
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let toml = support::config(&format!("http://{nobody}"), "");
    let gateway = Running::start(&toml, bedrock_gateway::Signer::nobody()).await;
    for path in [CONVERSE, CONVERSE_STREAM, "/async-invoke"] {
        let message = gateway
            .post(path, BODY)
            .await
            .error(503, "ServiceUnavailableException");
        assert!(message.contains("cannot be reached"), "{message}");
        assert!(!message.contains(&nobody.to_string()), "{message}");
    }
    assert_eq!(fake.open(), 0);
}
