//! The five operations, each read to its end.

use aws_sdk_bedrockruntime::{
    operation::{
        converse::ConverseInput, converse_stream::ConverseStreamInput,
        count_tokens::CountTokensInput, invoke_model::InvokeModelInput,
        invoke_model_with_response_stream::InvokeModelWithResponseStreamInput,
    },
    primitives::Blob,
    types::{
        ContentBlock, ConversationRole, ConverseOutput, ConverseStreamOutput,
        ConverseTokensRequest, CountTokensInput as Counted, Message, ResponseStream,
    },
};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_bedrock_core::{Answer, TokenUsage};
use tower_bedrock_service::{
    BedrockInput, BedrockService, ConverseEvents, Error, InvokeModelChunks,
};

use crate::local::MODEL;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Converse,
    ConverseStream,
    InvokeModel,
    InvokeModelWithResponseStream,
    CountTokens,
}

/// What an answer came to: its text and, where it says, its cost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) text: String,
    pub(crate) usage: Option<TokenUsage>,
}

impl Operation {
    pub(crate) const ALL: [Self; 5] = [
        Self::Converse,
        Self::ConverseStream,
        Self::InvokeModel,
        Self::InvokeModelWithResponseStream,
        Self::CountTokens,
    ];
    pub(crate) const STREAMING: [Self; 2] =
        [Self::ConverseStream, Self::InvokeModelWithResponseStream];

    /// Its name on the wire.
    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }

    pub(crate) async fn call(self, bedrock: &BedrockService, prompt: &str) -> Result<Whole, Error> {
        match self {
            Self::Converse => {
                let answer = send(bedrock, converse(prompt)).await?;
                let Some(ConverseOutput::Message(message)) = answer.output().output() else {
                    panic!("no message: {answer:?}");
                };
                let text = message
                    .content()
                    .iter()
                    .filter_map(|block| block.as_text().ok());
                Ok(Whole {
                    text: text.map(String::as_str).collect(),
                    usage: answer.usage(),
                })
            }
            Self::ConverseStream => read_converse(&mut open_converse(bedrock, prompt).await?).await,
            Self::InvokeModel => {
                let answer = send(bedrock, invoke(prompt)).await?;
                let body: Value = parse(answer.output().body());
                Ok(Whole {
                    text: string(&body["content"][0]["text"]),
                    usage: answer.usage(),
                })
            }
            Self::InvokeModelWithResponseStream => {
                read_invoke(&mut open_invoke(bedrock, prompt).await?).await
            }
            Self::CountTokens => {
                let answer: Answer<_> = send(bedrock, count(prompt)).await?;
                Ok(Whole {
                    text: answer.output().input_tokens().to_string(),
                    usage: answer.usage(),
                })
            }
        }
    }
}

pub(crate) async fn open_converse(
    bedrock: &BedrockService,
    prompt: &str,
) -> Result<ConverseEvents, Error> {
    send(bedrock, converse_stream(prompt)).await
}

pub(crate) async fn open_invoke(
    bedrock: &BedrockService,
    prompt: &str,
) -> Result<InvokeModelChunks, Error> {
    let input = InvokeModelWithResponseStreamInput::builder()
        .model_id(MODEL)
        .body(body(prompt));
    send(bedrock, input.build().unwrap()).await
}

/// Reads a stream to its end; an error on the way is the answer.
pub(crate) async fn read_converse(events: &mut ConverseEvents) -> Result<Whole, Error> {
    let mut whole = Whole::default();
    while let Some(event) = events.recv().await? {
        match event {
            ConverseStreamOutput::ContentBlockDelta(event) => {
                let delta = event.delta().unwrap();
                whole.text.push_str(delta.as_text().unwrap());
            }
            ConverseStreamOutput::Metadata(event) => {
                let usage = event.usage().unwrap();
                whole.usage = Some(tokens(usage.input_tokens(), usage.output_tokens()));
            }
            _ => {}
        }
    }
    Ok(whole)
}

async fn read_invoke(chunks: &mut InvokeModelChunks) -> Result<Whole, Error> {
    let mut whole = Whole::default();
    while let Some(event) = chunks.recv().await? {
        let ResponseStream::Chunk(part) = event else {
            continue;
        };
        let chunk = parse(part.bytes().unwrap());
        if let Some(text) = chunk["delta"]["text"].as_str() {
            whole.text.push_str(text);
        }
        let metrics = &chunk["amazon-bedrock-invocationMetrics"];
        if let Some(input) = metrics["inputTokenCount"].as_i64() {
            let output = metrics["outputTokenCount"].as_i64().unwrap();
            whole.usage = Some(tokens(input as i32, output as i32));
        }
    }
    Ok(whole)
}

async fn send<I: BedrockInput>(bedrock: &BedrockService, input: I) -> Result<I::Response, Error> {
    let invocation = bedrock.invocation(input).unwrap();
    bedrock.clone().oneshot(invocation).await
}

pub(crate) fn converse_stream(prompt: &str) -> ConverseStreamInput {
    let input = ConverseStreamInput::builder().model_id(MODEL);
    input.messages(message(prompt)).build().unwrap()
}

pub(crate) fn converse(prompt: &str) -> ConverseInput {
    let input = ConverseInput::builder().model_id(MODEL);
    input.messages(message(prompt)).build().unwrap()
}

pub(crate) fn invoke(prompt: &str) -> InvokeModelInput {
    let input = InvokeModelInput::builder().model_id(MODEL);
    input.body(body(prompt)).build().unwrap()
}

fn count(prompt: &str) -> CountTokensInput {
    let request = ConverseTokensRequest::builder().messages(message(prompt));
    let input = CountTokensInput::builder().model_id(MODEL);
    let input = input.input(Counted::Converse(request.build()));
    input.build().unwrap()
}

fn message(prompt: &str) -> Message {
    let message = Message::builder().role(ConversationRole::User);
    let message = message.content(ContentBlock::Text(prompt.to_owned()));
    message.build().unwrap()
}

fn body(prompt: &str) -> Blob {
    let body = json!({
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": prompt}],
    });
    Blob::new(body.to_string())
}

fn parse(blob: &Blob) -> Value {
    serde_json::from_slice(blob.as_ref()).unwrap()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn tokens(input: i32, output: i32) -> TokenUsage {
    TokenUsage {
        input: input.try_into().unwrap(),
        output: output.try_into().unwrap(),
        ..TokenUsage::default()
    }
}
