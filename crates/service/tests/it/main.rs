//! The service against a server that answers as it is told.

// Clippy takes helpers outside of a test function for no tests.
#![allow(clippy::unwrap_used)]

mod call;
mod canary;
mod chunks;
mod config;
mod connections;
mod envelope;
mod errors;
mod kept;
mod memory;
mod server;
mod stream;
mod time;
mod told;
#[cfg(feature = "opentelemetry")]
mod trace;
mod wire;

use aws_sdk_bedrockruntime::{
    config::{Credentials, Region, SharedCredentialsProvider},
    operation::{
        converse::ConverseInput, converse_stream::ConverseStreamInput,
        invoke_model::InvokeModelInput,
        invoke_model_with_response_stream::InvokeModelWithResponseStreamInput,
    },
    primitives::Blob,
    types::{ContentBlock, ConversationRole, Message},
};
use aws_types::SdkConfig;
use tower::ServiceExt;
use tower_bedrock_core::Invocation;
use tower_bedrock_service::{BedrockInput, BedrockService, Error};

use crate::server::Server;

const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

fn aws_config() -> aws_types::sdk_config::Builder {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    SdkConfig::builder()
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
}

fn service(server: &Server) -> BedrockService {
    BedrockService::new(&aws_config().endpoint_url(server.url()).build()).unwrap()
}

fn message(text: &str) -> Message {
    Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(text.to_owned()))
        .build()
        .unwrap()
}

fn converse() -> ConverseInput {
    ConverseInput::builder()
        .model_id(MODEL)
        .messages(message("Say hello."))
        .build()
        .unwrap()
}

fn converse_stream() -> ConverseStreamInput {
    ConverseStreamInput::builder()
        .model_id(MODEL)
        .messages(message("Say hello."))
        .build()
        .unwrap()
}

fn invoke_model(body: &str) -> InvokeModelInput {
    InvokeModelInput::builder()
        .model_id(MODEL)
        .body(Blob::new(body))
        .build()
        .unwrap()
}

fn invoke_model_stream(body: &str) -> InvokeModelWithResponseStreamInput {
    InvokeModelWithResponseStreamInput::builder()
        .model_id(MODEL)
        .body(Blob::new(body))
        .build()
        .unwrap()
}

/// Calls as any Tower user would.
async fn send<I: BedrockInput>(
    service: &BedrockService,
    invocation: Invocation<I>,
) -> Result<I::Response, Error> {
    service.clone().oneshot(invocation).await
}

async fn ask<I: BedrockInput>(service: &BedrockService, input: I) -> Result<I::Response, Error> {
    send(service, service.invocation(input)?).await
}
