//! What users write and read never shows where it may be logged.

use std::error::Error as _;

use tower_bedrock_core::HasCompletion;

use crate::{
    ask, converse_stream, invoke_model, message,
    server::{Reply, Server},
    service, wire,
};

const PROMPT: &str = "canary-in-the-prompt";
const REPLY: &str = "canary-in-the-reply";

fn assert_silent(shown: &str) {
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn errors_show_no_body() {
    let json = format!(r#"{{"message":"Value '{REPLY}' is not valid"}}"#);
    let replies = [
        Reply::error(
            400,
            "ValidationException",
            &format!("Value '{PROMPT}' is not valid"),
        ),
        Reply::new(400, &[("x-amzn-errortype", REPLY)], &json),
        Reply::new(500, &[], &format!(r#"{{"__type":"{REPLY} in the type"}}"#)),
        Reply::new(503, &[("content-type", "text/html")], REPLY),
        Reply::json(&format!(r#"{{"output":{{"message":"{REPLY}"#)),
        Reply::stream(&[wire::start(), wire::exception("validationException", REPLY)]),
        Reply::stream(&[wire::error("validationException", REPLY)]),
        Reply::stream(&[wire::event("messageStart", REPLY)]),
        Reply::stream(&[wire::corrupt(wire::delta(REPLY))]),
        Reply::cut_stream(&[wire::delta(REPLY)]).cut_at(250),
    ];
    for reply in replies {
        let server = Server::always(reply).await;
        let mut input = converse_stream();
        input.messages = Some(vec![message(PROMPT)]);
        let error = ask(&service(&server), input).await.unwrap_err();
        assert_silent(&format!("{error}"));
        assert_silent(&format!("{error:?} {error:#?}"));
        // What a log line of a chain's first two links shows.
        assert_silent(&format!("{:?}", error.source()));
    }
}

#[tokio::test]
async fn envelopes_and_streams_show_no_content() {
    let frames = [
        wire::start(),
        wire::delta(REPLY),
        wire::stop(),
        wire::metadata(),
    ];
    let server = Server::always(Reply::stream(&frames)).await;
    let service = service(&server);

    let mut input = converse_stream();
    input.messages = Some(vec![message(PROMPT)]);
    assert_silent(&format!("{:?}", service.invocation(input.clone()).unwrap()));
    let mut stream = ask(&service, input).await.unwrap();
    assert_silent(&format!("{stream:?}"));
    stream.on_completion(|completion| assert_silent(&format!("{completion:?}")));
    while stream.recv().await.unwrap().is_some() {
        assert_silent(&format!("{stream:?}"));
    }
    assert_silent(&format!("{service:?}"));

    let server = Server::always(Reply::json(REPLY)).await;
    let answer = ask(&crate::service(&server), invoke_model(PROMPT))
        .await
        .unwrap();
    assert_silent(&format!("{answer:?}"));
}
