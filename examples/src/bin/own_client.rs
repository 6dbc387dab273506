//! The layers around a client of one's own: its request, its response and its error answer core's questions,
//! and that is all the layers ask for. No AWS crate is needed.
//!
//! ```console
//! $ cargo run -p examples --bin own_client
//! ```

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bedrock::{
    BoxError, Completion, Demand, ErrorResponse, Fault, FaultKind, HasCompletion, HasDemand,
    HasFault, HasTarget, Rejection, Target, TokenUsage,
    breaker::CircuitBreakerLayer,
    quota::{LimitTable, QuotaLayer},
    retry::RetryLayer,
};

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
        Demand::new(self.prompt.len() as u64 / 4).with_max_output_tokens(200)
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
    Http { status: u16, fault: Fault },
    #[error("{0}")]
    Rejected(Box<dyn Rejection>),
}

impl HasFault for ClientError {
    fn fault(&self) -> Fault {
        match self {
            Self::Http { fault, .. } => *fault,
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

/// The client. It stands in for one that speaks HTTP: the first answer is a throttle.
#[derive(Clone, Default)]
struct Client {
    calls: Arc<AtomicU32>,
}

impl Service<Question> for Client {
    type Response = Reply;
    type Error = ClientError;
    type Future = Ready<Result<Reply, ClientError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: Question) -> Self::Future {
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            let status = 429;
            // Core tells what it is: by exception, else by status; the message tells flavours apart.
            let fault = ErrorResponse {
                status: Some(status),
                exception: Some("ThrottlingException"),
                message: "Too many requests, please wait before trying again.",
                retry_after: None,
            }
            .classify();
            return ready(Err(ClientError::Http { status, fault }));
        }
        let usage = TokenUsage {
            input: question.prompt.len() as u64 / 3,
            output: 3,
            ..TokenUsage::default()
        };
        let text = "Hello yourself.".to_owned();
        ready(Ok(Reply { text, usage }))
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let client = Client::default();
    let bedrock = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(CircuitBreakerLayer::builder().build()?)
        .layer(QuotaLayer::with_limits(LimitTable::new())?)
        .service(client.clone());

    let question = Question {
        target: Target::parse("us-east-1", "us.amazon.nova-lite-v1:0")?,
        prompt: "Say hello.".to_owned(),
    };
    let reply = bedrock.oneshot(question).await?;

    let calls = client.calls.load(Ordering::Relaxed);
    let TokenUsage { input, output, .. } = reply.usage;
    println!(
        "{:?} after {calls} calls, {input} tokens in, {output} out",
        reply.text
    );
    Ok(())
}
