//! The layers around a client of one's own: its request, its response and its error answer core's questions,
//! and that is all the layers ask for. No AWS crate is needed.
//!
//! ```console
//! $ cargo run -p examples --bin own_client
//! ```

use std::{
    task::{Context, Poll},
    time::SystemTime,
};

use bedrock_sim::{FaultName, FaultSpec, Simulator};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bedrock::{
    BoxError, Completion, Demand, ErrorResponse, Fault, FaultKind, HasCompletion, HasDemand,
    HasFault, HasTarget, Rejection, Target, TokenUsage,
    breaker::CircuitBreakerLayer,
    quota::{LimitTable, QuotaLayer},
    retry::RetryLayer,
    retry_after,
};

const MAX_OUTPUT_TOKENS: u64 = 200;

/// Where is it going, and what may it cost?
#[derive(Clone)]
struct Question {
    target: Target,
    prompt: String,
}

impl HasTarget for Question {
    fn target(&self) -> &Target {
        &self.target
    }

    fn set_target(&mut self, target: Target) {
        self.target = target;
    }
}

impl HasDemand for Question {
    fn demand(&self) -> Demand {
        // Four bytes are about a token. The quota learns how far that is off.
        Demand::new(self.prompt.len() as u64 / 4).with_max_output_tokens(MAX_OUTPUT_TOKENS)
    }
}

/// What did it cost?
struct Reply {
    text: String,
    usage: TokenUsage,
}

impl HasCompletion for Reply {
    fn on_completion<F: FnOnce(&Completion) + Send + 'static>(&mut self, observer: F) {
        observer(&Completion::complete(Some(self.usage)));
    }
}

/// What went wrong?
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("Bedrock answered {status}")]
    Http { status: StatusCode, fault: Fault },
    #[error("no answer from Bedrock")]
    Transport(#[source] BoxError),
    #[error("{0}")]
    Rejected(Box<dyn Rejection>),
}

impl ClientError {
    fn transport(error: impl Into<BoxError>) -> Self {
        Self::Transport(error.into())
    }
}

impl HasFault for ClientError {
    fn fault(&self) -> Fault {
        match self {
            Self::Http { fault, .. } => *fault,
            Self::Transport(_) => Fault::new(FaultKind::Transport),
            Self::Rejected(rejection) => {
                Fault::find(&**rejection).unwrap_or(Fault::new(FaultKind::Unknown))
            }
        }
    }
}

/// A layer that turns a call away has an error of its own, and this takes any of them.
impl<R: Rejection> From<R> for ClientError {
    fn from(rejection: R) -> Self {
        Self::Rejected(Box::new(rejection))
    }
}

/// The client: Converse over HTTP. Amazon Bedrock itself would want it signed, too, and over TLS.
#[derive(Clone)]
struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    endpoint: String,
}

impl Client {
    async fn converse(self, question: Question) -> Result<Reply, ClientError> {
        let model = question.target.model().as_str().replace(':', "%3A");
        let body = json!({
            "messages": [{"role": "user", "content": [{"text": question.prompt}]}],
            "inferenceConfig": {"maxTokens": MAX_OUTPUT_TOKENS},
        });
        let request = Request::post(format!("{}/model/{model}/converse", self.endpoint))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()))
            .map_err(ClientError::transport)?;

        let response = self.http.request(request).await;
        let (head, body) = response.map_err(ClientError::transport)?.into_parts();
        let body = body.collect().await.map_err(ClientError::transport)?;
        let body = serde_json::from_slice::<Value>(&body.to_bytes());
        if !head.status.is_success() {
            // A load balancer's errors are pages.
            let body = body.unwrap_or_default();
            let header = |name: &str| head.headers.get(name)?.to_str().ok();
            // Core tells what it is: by exception, else by status; the message tells flavours apart.
            let fault = ErrorResponse {
                status: Some(head.status.as_u16()),
                exception: header("x-amzn-errortype"),
                message: body["message"].as_str().unwrap_or_default(),
                retry_after: retry_after(header, SystemTime::now()),
            }
            .classify();
            let status = head.status;
            return Err(ClientError::Http { status, fault });
        }
        let body = body.map_err(ClientError::transport)?;
        let tokens = |name| body["usage"][name].as_u64().unwrap_or_default();
        let text = &body["output"]["message"]["content"][0]["text"];
        Ok(Reply {
            text: text.as_str().unwrap_or_default().to_owned(),
            usage: TokenUsage {
                input: tokens("inputTokens"),
                output: tokens("outputTokens"),
                cache_read: tokens("cacheReadInputTokens"),
                cache_write: tokens("cacheWriteInputTokens"),
            },
        })
    }
}

impl Service<Question> for Client {
    type Response = Reply;
    type Error = ClientError;
    type Future = BoxFuture<'static, Result<Reply, ClientError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: Question) -> Self::Future {
        Box::pin(self.clone().converse(question))
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let simulator = Simulator::default();
    // The first answer is a throttle.
    simulator.add_fault(FaultSpec::once(FaultName::Overloaded))?;

    let client = Client {
        http: legacy::Client::builder(TokioExecutor::new()).build_http(),
        endpoint: examples::serve(&simulator).await?,
    };
    let bedrock = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(CircuitBreakerLayer::builder().build()?)
        .layer(QuotaLayer::with_limits(LimitTable::new())?)
        .service(client);

    let question = Question {
        target: Target::parse("us-east-1", "us.amazon.nova-lite-v1:0")?,
        prompt: "Say hello.".to_owned(),
    };
    let reply = bedrock.oneshot(question).await?;

    let calls = simulator.ledger().entries.len();
    let TokenUsage { input, output, .. } = reply.usage;
    println!(
        "{:?} after {calls} calls, {input} tokens in, {output} out",
        reply.text
    );
    Ok(())
}
