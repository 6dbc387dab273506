use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{
    Answer, CLAUDE, NOVA, Server, decode, header, hello, hello_anthropic, hello_nova, payload,
};

#[tokio::test]
async fn converse_stream_sends_its_events_in_bedrocks_order() {
    let server = Server::start().await;
    let answer = server.call(CLAUDE, "converse-stream", &hello()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.amazon.eventstream"
    );
    assert_eq!(answer.header("x-bedrock-sim"), "true");

    let frames = answer.frames();
    let names: Vec<_> = frames
        .iter()
        .map(|frame| header(frame, ":event-type"))
        .collect();
    let delta = "contentBlockDelta";
    assert_eq!(
        names,
        [
            "messageStart",
            delta,
            delta,
            delta,
            "contentBlockStop",
            "messageStop",
            "metadata"
        ]
    );
    for frame in &frames {
        assert_eq!(header(frame, ":message-type"), "event");
        assert_eq!(header(frame, ":content-type"), "application/json");
    }
    let payloads: Vec<_> = frames.iter().map(payload).collect();
    assert_eq!(payloads[0], json!({ "role": "assistant" }));
    let text: String = payloads[1..4]
        .iter()
        .map(|delta| delta["delta"]["text"].as_str().unwrap())
        .collect();
    assert!(text.starts_with("This is a simulated answer"), "{text}");
    assert_eq!(payloads[5], json!({ "stopReason": "max_tokens" }));
    assert_eq!(payloads[6]["usage"]["outputTokens"], 10);
    assert!(payloads[6]["metrics"]["latencyMs"].as_u64().unwrap() >= 900);

    let whole = server.call(CLAUDE, "converse", &hello()).await.json();
    assert_eq!(whole["output"]["message"]["content"][0]["text"], text);
    assert_eq!(whole["usage"], payloads[6]["usage"]);
}

fn chunks(answer: &Answer) -> Vec<Value> {
    answer
        .frames()
        .iter()
        .map(|frame| {
            assert_eq!(header(frame, ":event-type"), "chunk");
            let bytes = STANDARD
                .decode(payload(frame)["bytes"].as_str().unwrap())
                .unwrap();
            serde_json::from_slice(&bytes).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn invoke_streams_carry_anthropics_events() {
    let server = Server::start().await;
    let answer = server
        .call(CLAUDE, "invoke-with-response-stream", &hello_anthropic())
        .await;
    assert_eq!(
        answer.header("x-amzn-bedrock-content-type"),
        "application/json"
    );
    let chunks = chunks(&answer);
    let types: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["type"].as_str().unwrap())
        .collect();
    let delta = "content_block_delta";
    assert_eq!(
        types,
        [
            "message_start",
            "content_block_start",
            delta,
            delta,
            delta,
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert_eq!(chunks[0]["message"]["role"], "assistant");
    assert!(
        chunks[2]["delta"]["text"]
            .as_str()
            .unwrap()
            .contains("simulated")
    );
    assert_eq!(chunks[6]["usage"]["output_tokens"], 10);
    let metrics = &chunks[7]["amazon-bedrock-invocationMetrics"];
    assert_eq!(
        metrics["inputTokenCount"],
        chunks[0]["message"]["usage"]["input_tokens"]
    );
    assert_eq!(metrics["outputTokenCount"], 10);
    assert_eq!(metrics["firstByteLatency"], 900);
    assert!(metrics["invocationLatency"].as_u64() > metrics["firstByteLatency"].as_u64());
}

#[tokio::test]
async fn invoke_streams_carry_novas_events() {
    let server = Server::start().await;
    let answer = server
        .call(NOVA, "invoke-with-response-stream", &hello_nova())
        .await;
    let chunks = chunks(&answer);
    let names: Vec<_> = chunks
        .iter()
        .map(|chunk| {
            let mut names = chunk.as_object().unwrap().keys();
            names
                .find(|name| *name != "amazon-bedrock-invocationMetrics")
                .unwrap()
                .as_str()
        })
        .collect();
    let delta = "contentBlockDelta";
    assert_eq!(
        names,
        [
            "messageStart",
            delta,
            delta,
            delta,
            "contentBlockStop",
            "messageStop",
            "metadata"
        ]
    );
    assert_eq!(
        chunks[6]["amazon-bedrock-invocationMetrics"]["outputTokenCount"],
        10
    );
}

#[tokio::test]
async fn deltas_are_sent_as_they_are_due_and_not_at_the_end() {
    let server = Server::start().await;
    // The stream stands still after its second delta. What came before has to be here by then.
    server
        .fault(json!({ "kind": "hang", "at": { "after_deltas": 2 } }))
        .await;
    let mut body = server.open(CLAUDE, "converse-stream", &hello()).await;
    let mut received = BytesMut::new();
    while decode(&received).unwrap().len() < 3 {
        let frame = body.frame().await.unwrap().unwrap();
        received.extend_from_slice(frame.data_ref().unwrap());
    }
    let entry = server.simulator.ledger().entries.pop().unwrap();
    assert_eq!(entry.outcome, "in_flight");

    // Who goes away is settled with what was sent until then.
    drop(body);
    server.last_call_is("dropped").await;
    let entry = server.simulator.ledger().entries.pop().unwrap();
    assert_eq!(entry.output_tokens, 8);
    assert_eq!(entry.settled, entry.input_tokens + 8 * 5);
}

#[tokio::test]
async fn who_goes_away_before_the_answer_is_settled() {
    for http2 in [false, true] {
        let mut server = Server::start().await;
        if http2 {
            server.speak_http2();
        }
        server.fault(json!({ "kind": "hang" })).await;
        let path = format!("/model/{CLAUDE}/converse");
        let request = server.request(Method::POST, &path, &hello().to_string());
        tokio::select! {
            answer = server.send(request) => panic!("an answer: {answer:?}"),
            () = server.last_call_is("in_flight") => {}
        }
        server.last_call_is("dropped").await;
    }
}

#[tokio::test]
async fn nothing_outlives_the_server() {
    for http2 in [false, true] {
        let mut server = Server::start().await;
        if http2 {
            server.speak_http2();
        }
        let at = json!({ "after_deltas": 1 });
        server.fault(json!({ "kind": "hang", "at": at })).await;
        let _body = server.open(CLAUDE, "converse-stream", &hello()).await;
        server.last_call_is("in_flight").await;
        server.abort();
        server.last_call_is("dropped").await;
    }
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    let server = Server::start().await;
    let streams = (1..=32_u64).map(|max_tokens| {
        let mut body = hello();
        body["inferenceConfig"]["maxTokens"] = json!(max_tokens);
        let server = &server;
        async move {
            let frames = server.call(NOVA, "converse-stream", &body).await.frames();
            let usage = payload(frames.last().unwrap())["usage"]["outputTokens"].as_u64();
            assert_eq!(usage, Some(max_tokens));
        }
    });
    futures_util::future::join_all(streams).await;
}
