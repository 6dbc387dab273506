//! `InvokeModelWithResponseStream`.

use aws_sdk_bedrockruntime::types::ResponseStream;
use futures_util::{StreamExt, TryStreamExt};
use tower_bedrock_core::{FaultKind, HasFault, Outcome};
use tower_bedrock_service::{Error, EventStream};

use crate::{
    ask, invoke_model_stream,
    server::{Reply, Server},
    service,
    told::Told,
    wire,
};

const METRICS: &str = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":
    {"inputTokenCount":11,"outputTokenCount":7,"invocationLatency":512,"firstByteLatency":90}}"#;

fn anthropic() -> Vec<Vec<u8>> {
    [
        r#"{"type":"message_start","message":{"usage":{"input_tokens":11}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
    ]
    .map(wire::chunk)
    .to_vec()
}

async fn invoke(frames: &[Vec<u8>]) -> Result<EventStream<ResponseStream>, Error> {
    let server = Server::always(Reply::stream(frames)).await;
    let result = ask(&service(&server), invoke_model_stream("{}")).await;
    assert!(
        server
            .only_request()
            .path
            .ends_with("/invoke-with-response-stream")
    );
    result
}

#[tokio::test]
async fn the_last_chunk_tells_the_cost() {
    let mut stream = invoke(&[anthropic(), vec![wire::chunk(METRICS)]].concat())
        .await
        .unwrap();
    let told = Told::by(&mut stream);
    let chunks: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(chunks.len(), 4);
    let completion = told.once();
    assert_eq!(completion.outcome, Outcome::Complete);
    let usage = completion.usage.unwrap();
    assert_eq!((usage.input, usage.output), (11, 7));
}

#[tokio::test]
async fn a_throttle_before_the_first_chunk_with_content_is_an_error_of_the_call() {
    let throttle = wire::exception("throttlingException", "Too many tokens, please wait.");
    let preamble = &anthropic()[..2];
    for before in [&[], &preamble[..1], preamble] {
        let frames = [before, std::slice::from_ref(&throttle)].concat();
        let error = invoke(&frames).await.unwrap_err();
        assert_eq!(error.fault().kind(), FaultKind::ThrottledTokens);
    }
}

#[tokio::test]
async fn chunks_that_stop_short_are_an_error() {
    let mut stream = invoke(&anthropic()).await.unwrap();
    let told = Told::by(&mut stream);
    let items: Vec<_> = stream.by_ref().collect().await;
    assert_eq!(items.len(), 4);
    let error = items[3].as_ref().unwrap_err();
    assert_eq!(error.fault().kind(), FaultKind::Transport);
    assert_eq!(told.once().outcome, Outcome::Failed(error.fault()));
}

#[tokio::test]
async fn chunks_of_a_model_that_names_no_end_may_end_anywhere() {
    let frames = [wire::chunk(r#"{"generation":"Hi"}"#)];
    let chunks: Vec<_> = invoke(&frames).await.unwrap().try_collect().await.unwrap();
    assert_eq!(chunks.len(), 1);
}
