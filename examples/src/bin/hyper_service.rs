//! The stack inside a plain hyper server: POST a prompt, get the answer's text. What goes wrong is an HTTP
//! status, with an honest `Retry-After`.
//!
//! ```console
//! $ cargo run -p examples --bin hyper_service
//! $ curl -d 'Say hello.' http://127.0.0.1:3000
//! ```

use anyhow::Result;
use aws_sdk_bedrockruntime::{
    operation::converse::{ConverseInput, ConverseOutput},
    types::{ContentBlock, ConversationRole, InferenceConfiguration, Message},
};
use bedrock_sim::Simulator;
use bytes::Bytes;
use examples::{listener, simulated_bedrock};
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_bedrock::{
    Answer, BedrockService, BoxError, Error, FaultKind, HasFault, Invocation, StandardStack,
};

type Bedrock = BoxCloneSyncService<Invocation<ConverseInput>, Answer<ConverseOutput>, Error>;

/// The longest prompt taken.
const MAX_BYTES: usize = 1 << 20;

#[tokio::main]
async fn main() -> Result<()> {
    let leaf = simulated_bedrock(&Simulator::default()).await?;
    let stack = StandardStack::new().map_err(anyhow::Error::from_boxed)?;
    let bedrock = Bedrock::new(stack.layer(leaf.clone()));

    let listener = listener().await?;
    loop {
        let (connection, _) = listener.accept().await?;
        // Clones share quota, breakers and connections, so each connection may have one.
        let (leaf, bedrock) = (leaf.clone(), bedrock.clone());
        let service = service_fn(move |request| respond(request, leaf.clone(), bedrock.clone()));
        tokio::spawn(async move {
            let connection = TokioIo::new(connection);
            let served = http1::Builder::new()
                .serve_connection(connection, TowerToHyperService::new(service))
                .await;
            if let Err(error) = served {
                eprintln!("connection: {error}");
            }
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    leaf: BedrockService,
    bedrock: Bedrock,
) -> Result<Response<Full<Bytes>>, http::Error> {
    match answer(request, leaf, bedrock).await {
        Ok(text) => Response::builder().body(Full::from(text)),
        Err(error) => refusal(&error),
    }
}

async fn answer(
    request: Request<Incoming>,
    leaf: BedrockService,
    bedrock: Bedrock,
) -> Result<String, BoxError> {
    let prompt = Limited::new(request.into_body(), MAX_BYTES)
        .collect()
        .await?;
    let prompt = String::from_utf8(prompt.to_bytes().into())?;
    let input = ConverseInput::builder()
        .model_id("us.amazon.nova-lite-v1:0")
        .messages(
            Message::builder()
                .role(ConversationRole::User)
                .content(ContentBlock::Text(prompt))
                .build()?,
        )
        .inference_config(InferenceConfiguration::builder().max_tokens(300).build())
        .build()?;
    let answer = bedrock.oneshot(leaf.invocation(input)?).await?;
    let output = answer.into_output();
    let message = output.output().and_then(|output| output.as_message().ok());
    let blocks = message.map(Message::content).unwrap_or_default();
    Ok(blocks
        .iter()
        .filter_map(|block| block.as_text().ok())
        .map(String::as_str)
        .collect())
}

/// The error without its text, which may not be for everybody.
fn refusal(error: &BoxError) -> Result<Response<Full<Bytes>>, http::Error> {
    let fault = error.fault();
    let status = match fault.kind() {
        kind if kind.is_throttle() => StatusCode::TOO_MANY_REQUESTS,
        FaultKind::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
        // What hyper could not read is the sender's fault too.
        kind if kind.is_callers_mistake() => StatusCode::BAD_REQUEST,
        FaultKind::Unknown => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = Response::builder().status(status);
    if let Some(after) = fault.retry_after() {
        response = response.header(RETRY_AFTER, after.as_secs() + 1);
    }
    response.body(Full::from(format!("{}\n", fault.kind())))
}
