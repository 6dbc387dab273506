//! A chat page. The answer streams to the browser as the model writes it; when the model fails before its
//! first word, another answers in its place, and the page says which.
//!
//! ```console
//! $ cargo run -p examples --bin axum_chat      # then open http://127.0.0.1:3000
//! ```

use std::convert::Infallible;

use anyhow::Result;
use aws_sdk_bedrockruntime::{
    operation::converse_stream::ConverseStreamInput,
    types::{
        ContentBlock, ConversationRole, ConverseStreamOutput, InferenceConfiguration, Message,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{Html, IntoResponse, Response, Sse, sse::Event},
    routing::{get, post},
};
use bedrock_sim::{FaultName, FaultSpec, Simulator};
use examples::{listener, simulated_bedrock};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::{Duration, Instant};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_bedrock::{
    BedrockService, BoxError, Context, ConverseEvents, Error, FaultKind, HasCompletion, HasFault,
    Invocation, Priority, StandardStack,
    fallback::{Alternative, Chain},
};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const NOVA: &str = "us.amazon.nova-lite-v1:0";

#[derive(Clone)]
struct App {
    leaf: BedrockService,
    /// Boxed, so that handlers can name it.
    bedrock: BoxCloneSyncService<Invocation<ConverseStreamInput>, ConverseEvents, Error>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let simulator = Simulator::default();
    // Two in five calls to Claude fail, so that the fallback can be seen at work.
    simulator.add_fault(FaultSpec {
        probability: Some(0.4),
        ..FaultSpec::new(FaultName::ModelTimeout).for_model(CLAUDE)
    })?;
    let leaf = simulated_bedrock(&simulator).await?;

    let chain = Chain::new(CLAUDE.parse()?).or(Alternative::model(NOVA.parse()?));
    let stack = StandardStack::new()
        .map_err(anyhow::Error::from_boxed)?
        .with_chains([chain])?;
    let app = App {
        bedrock: BoxCloneSyncService::new(stack.layer(leaf.clone())),
        leaf,
    };

    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("axum_chat.html")) }))
        .route("/chat", post(chat))
        .with_state(app);
    axum::serve(listener().await?, router).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Question {
    message: String,
}

async fn chat(State(app): State<App>, Json(question): Json<Question>) -> Result<Response, Refusal> {
    let input = ConverseStreamInput::builder()
        .model_id(CLAUDE)
        .messages(
            Message::builder()
                .role(ConversationRole::User)
                .content(ContentBlock::Text(question.message))
                .build()
                .map_err(BoxError::from)?,
        )
        // Bedrock counts an unset bound as the model's own maximum, against the quota.
        .inference_config(InferenceConfiguration::builder().max_tokens(300).build())
        .build()
        .map_err(BoxError::from)?;
    let context = Context::new()
        .with_priority(Priority::Interactive)
        .with_deadline(Instant::now() + Duration::from_secs(60));
    let call = app
        .leaf
        .invocation(input)
        .map_err(BoxError::from)?
        .with_context(context);

    // What fails before the first word is retried, falls back, or is an error here.
    let events = app.bedrock.oneshot(call).await.map_err(BoxError::from)?;
    Ok(Sse::new(told(events)).into_response())
}

/// The answer as server-sent events: who answers, then the text. One that breaks off ends in `error`, so
/// that nobody takes half an answer for a whole one.
fn told(events: ConverseEvents) -> impl Stream<Item = Result<Event, Infallible>> {
    let served_by = events
        .history()
        .and_then(|history| history.served_by.as_ref())
        .map_or(CLAUDE, |target| target.model().as_str())
        .to_owned();
    let first = Event::default().event("model").data(served_by);
    let text = events.filter_map(|event| async {
        match event {
            Ok(ConverseStreamOutput::ContentBlockDelta(event)) => {
                let text = event.delta()?.as_text().ok()?;
                // JSON keeps line breaks, which would end an event's data.
                Event::default().json_data(text).ok()
            }
            Ok(ConverseStreamOutput::MessageStop(_)) => {
                Some(Event::default().event("end").data(""))
            }
            Ok(_) => None,
            Err(error) => Some(Event::default().event("error").data(error.to_string())),
        }
    });
    stream::iter([first]).chain(text).map(Ok)
}

/// Why there is no answer, as an HTTP status.
struct Refusal(BoxError);

impl From<BoxError> for Refusal {
    fn from(error: BoxError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let fault = self.0.fault();
        let status = match fault.kind() {
            kind if kind.is_throttle() => StatusCode::TOO_MANY_REQUESTS,
            FaultKind::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
            kind if kind.is_callers_mistake() => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let seconds = fault.retry_after().map_or(5, |after| after.as_secs() + 1);
        let body = "Too much to do just now. Please try again in a moment.";
        (status, [(RETRY_AFTER, seconds.to_string())], body).into_response()
    }
}
