//! The leaf of the stack: Bedrock's runtime over raw HTTP.

pub(crate) mod client;
mod credentials;
mod endpoint;
mod error;
mod exception;
mod frames;
mod headers;
mod protocol;
mod record;
mod request;
mod response;
mod rewrite;
mod sign;
mod stream;
mod usage;

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, uri::PathAndQuery};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Duration, Instant, timeout};
use tower_bedrock_core::{BoxError, FaultKind, HasTarget, Invocation, Region, TokenUsage};
use tower_service::Service;
use tracing::Span;

pub use self::{
    endpoint::Endpoint,
    error::UpstreamError,
    request::RawRequest,
    response::RawResponse,
    sign::{InvalidToken, Signer},
};
pub(crate) use self::{
    error::{Answer, Cause},
    headers::forwarded_request,
    request::{Attempts, path_of},
    response::{RawBody, Rest},
    rewrite::BOUNDS,
};
use self::{headers::remove_hop_by_hop, request::Outgoing, stream::EventStream};
use crate::{Operation, budget::Budget, config::Server, trace::TraceHeaders};

/// Bedrock's runtime over raw HTTP: bytes in, bytes out, signed for the target's Region.
///
/// ```no_run
/// use bedrock_gateway::{Endpoint, Operation, RawRequest, Signer, Upstream};
/// use tower::ServiceExt;
/// use tower_bedrock_core::{HasCompletion, Invocation, Target};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let upstream = Upstream::new(Endpoint::Aws, Signer::bearer("a Bedrock API key")?)?;
/// let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
/// let request = RawRequest::new(
///     Operation::Converse,
///     target.model().clone(),
///     "/model/amazon.nova-lite-v1%3A0/converse".parse()?,
///     http::HeaderMap::new(),
///     r#"{"messages": [{"role": "user", "content": [{"text": "Hello."}]}]}"#.into(),
/// );
/// // Any layer of tower-bedrock goes around it.
/// let mut answer = upstream.oneshot(Invocation::new(target, request)).await?;
/// answer.on_completion(|completion| println!("{:?}", completion.usage));
/// # Ok(())
/// # }
/// ```
///
/// An answer with an error status is an `Err`, and so is a stream that fails before its first content. A
/// unary body is read to its end before the call answers, so that one that is cut is an `Err` too.
///
/// # Clone
///
/// Clones share connections and credentials.
///
/// # Cancel safety
///
/// Dropping the future of a call, or the body of its answer, closes the connection to Bedrock.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: client::Client,
    endpoint: Endpoint,
    signer: Signer,
    limits: Limits,
    budget: Budget,
    trace: Option<TraceHeaders>,
}

/// What an [`Upstream`] allows itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Idle connections kept for the next call.
    pub(crate) max_idle_connections: usize,
    /// The longest body read to its end before it is answered with. What is longer is streamed.
    pub(crate) max_body_bytes: usize,
}

/// How long Bedrock may be silent: before an answer, and in the middle of one. `[timeout]` is shorter unless it is
/// raised; this is for what passes through, and for the middle of streams. A peer that is gone is found out by TCP keep-alive.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The longest error that is kept whole. Bedrock's are a few hundred bytes.
const MAX_ERROR_BYTES: usize = 1024 * 1024;

impl Limits {
    pub(crate) const fn of(server: &Server) -> Self {
        Self {
            max_idle_connections: server.max_connections,
            max_body_bytes: server.max_body_bytes,
        }
    }
}

impl Upstream {
    /// Calls `endpoint` with the identity of `signer`. Unary answers of up to 25,000,000 bytes are read
    /// whole.
    ///
    /// # Errors
    ///
    /// The system's root certificates cannot be read, and TLS needs them.
    pub fn new(endpoint: Endpoint, signer: Signer) -> io::Result<Self> {
        let server = Server::default();
        let budget = Budget::new(server.max_buffered_bytes);
        Self::with_limits(endpoint, signer, Limits::of(&server), budget, None)
    }

    pub(crate) fn with_limits(
        endpoint: Endpoint,
        signer: Signer,
        limits: Limits,
        budget: Budget,
        trace: Option<TraceHeaders>,
    ) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            client: client::client(endpoint.is_tls(), limits.max_idle_connections)?,
            endpoint,
            signer,
            limits,
            budget,
            trace,
        })))
    }

    /// Whether calls could be signed now.
    pub(crate) async fn check(&self) -> Result<(), BoxError> {
        self.0.signer.check().await
    }

    /// Sends a request that no policy applies to, and passes on whatever answer there is as it comes.
    pub(crate) async fn pass_through(
        &self,
        region: &Region,
        method: Method,
        path: PathAndQuery,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<RawResponse, UpstreamError> {
        let outgoing = Outgoing {
            path,
            headers,
            body,
        };
        // No policy asks how often.
        let attempts = Attempts::default();
        let answer = self.send(region, method, outgoing, &attempts).await?;
        let (parts, body) = answer.into_parts();
        let body = RawBody::Rest(Rest::new(Vec::new(), body));
        Ok(RawResponse::new(parts.status, parts.headers, body, None))
    }

    async fn invoke(self, call: Invocation<RawRequest>) -> Result<RawResponse, UpstreamError> {
        let started = Instant::now();
        let operation = call.input().operation();
        let outgoing = Outgoing::new(&call);
        let region = call.target().region();
        let attempts = call.input().attempts();
        let response = self.send(region, Method::POST, outgoing, attempts).await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            return Err(self.error(parts.status, parts.headers, body).await);
        }
        if operation.is_streaming() {
            let events = EventStream::commit(operation, body, started, READ_TIMEOUT).await?;
            let body = RawBody::Events(Box::new(events));
            return Ok(RawResponse::new(parts.status, parts.headers, body, None));
        }
        let body = self.collect(body, self.0.limits.max_body_bytes).await?;
        let usage = usage_of(operation, &parts.headers, &body);
        Ok(RawResponse::new(parts.status, parts.headers, body, usage))
    }

    /// Signs and sends a request; answers with the head of the response. What cannot be signed is no attempt.
    async fn send(
        &self,
        region: &Region,
        method: Method,
        outgoing: Outgoing,
        attempts: &Attempts,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let Outgoing {
            path,
            headers,
            body,
        } = outgoing;
        let uri = self.0.endpoint.uri(region, path).map_err(|error| {
            let what = "the request's address is not valid";
            UpstreamError::no_answer(what, error, FaultKind::Validation)
        })?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if let Some(trace) = &self.0.trace {
            trace.write(&Span::current(), request.headers_mut());
        }
        self.0.signer.sign(&mut request, region).await?;
        attempts.count();

        let response = self.0.client.request(request.map(Full::new));
        let mut response = timeout(READ_TIMEOUT, response)
            .await
            .map_err(|elapsed| {
                let what = "Bedrock did not answer in time";
                UpstreamError::no_answer(what, elapsed, FaultKind::Timeout)
            })?
            .map_err(|error| {
                let what = if error.is_connect() {
                    "Bedrock cannot be reached"
                } else {
                    "the connection to Bedrock broke before it answered"
                };
                UpstreamError::no_answer(what, error, FaultKind::Transport)
            })?;
        remove_hop_by_hop(response.headers_mut());
        Ok(response)
    }

    /// Reads a body to its end, or as far as there is room for it.
    async fn collect(&self, mut body: Incoming, limit: usize) -> Result<RawBody, UpstreamError> {
        let mut read = self.0.budget.buffer(limit);
        while let Some(chunk) = self.next_chunk(&mut body).await? {
            if read.extend(&chunk).is_err() {
                return Ok(RawBody::Rest(Rest::new(vec![read.freeze(), chunk], body)));
            }
        }
        Ok(RawBody::Whole(read.freeze()))
    }

    async fn next_chunk(&self, body: &mut Incoming) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let frame = timeout(READ_TIMEOUT, body.frame())
                .await
                .map_err(|elapsed| {
                    let what = "Bedrock's answer stalled";
                    UpstreamError::no_answer(what, elapsed, FaultKind::Timeout)
                })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    let what = "the connection to Bedrock broke in the middle of its answer";
                    return Err(UpstreamError::no_answer(what, error, FaultKind::Transport));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn error(&self, status: StatusCode, headers: HeaderMap, body: Incoming) -> UpstreamError {
        match self.collect(body, MAX_ERROR_BYTES).await {
            Ok(RawBody::Whole(body)) => UpstreamError::answer(status, headers, body),
            // Status and headers say enough; whatever this page is, it is not Bedrock's.
            Ok(_) => UpstreamError::answer(status, headers, Bytes::new()),
            Err(error) => error,
        }
    }
}

fn usage_of(operation: Operation, headers: &HeaderMap, body: &RawBody) -> Option<TokenUsage> {
    match (operation, body) {
        // Counting is free.
        (Operation::CountTokens, _) => Some(TokenUsage::default()),
        (Operation::Converse, RawBody::Whole(body)) => usage::from_converse(body),
        _ => usage::from_headers(headers),
    }
}

impl Service<Invocation<RawRequest>> for Upstream {
    type Response = RawResponse;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<RawResponse, UpstreamError>> + Send>>;

    /// Always ready: connections are opened as they are needed.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Invocation<RawRequest>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move {
            let answer = upstream.invoke(call).await;
            answer.inspect_err(UpstreamError::log_causes)
        })
    }
}
