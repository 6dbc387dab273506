//! A request's way through the gateway.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Request, request::Parts, uri::PathAndQuery};
use tokio::time::{Instant, error::Elapsed, timeout_at};
use tower::ServiceExt;
use tower_bedrock_core::{
    Completion, Context, FaultKind, HasCompletion, HasDemand, HasFault, HasTarget, Invocation,
    Region, Target,
};
use tracing::Instrument;

use crate::{
    Operation,
    access_log::{AccessLog, Answer},
    auth::Clients,
    body,
    budget::Budget,
    cached,
    config::{Config, InvalidConfig, Regions, Server},
    deadline,
    demand::demand,
    failure::log_failure,
    reply,
    request_id::RequestId,
    route::Route,
    scope, server_span,
    stack::Stack,
    told::{self, Served},
    trace::TraceHeaders,
    upstream::{RawRequest, RawResponse, Upstream, UpstreamError, forwarded_request},
    wire_error::{REQUEST_ID, WireError},
};

/// What requests are handled with. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Handler(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    regions: Regions,
    server: Server,
    budget: Budget,
    upstream: Upstream,
    trace: Option<TraceHeaders>,
    policies: ArcSwap<Policies>,
}

/// What a reload replaces. A call goes by those it began with.
#[derive(Debug)]
struct Policies {
    clients: Clients,
    stack: Arc<Stack>,
}

/// What the head of a request says.
struct Admitted {
    context: Context,
    region: Region,
    route: Route,
}

/// Why a request gets no answer of Bedrock's.
enum Refusal {
    Own(WireError),
    Upstream(UpstreamError),
}

impl Handler {
    pub(crate) fn new(
        config: &Config,
        budget: Budget,
        upstream: Upstream,
        trace: Option<TraceHeaders>,
    ) -> Result<Self, InvalidConfig> {
        let stack = Stack::new(config, &upstream)?;
        Ok(Self(Arc::new(Inner {
            regions: config.upstream.regions.clone(),
            server: config.server.clone(),
            budget,
            upstream,
            trace,
            policies: ArcSwap::from_pointee(Policies {
                clients: Clients::new(&config.clients),
                stack: Arc::new(stack),
            }),
        })))
    }

    /// Has calls from now on go by the clients and the policies of `config`.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), InvalidConfig> {
        let stack = self.stack().rebuild(config, &self.0.upstream)?;
        self.0.policies.store(Arc::new(Policies {
            clients: Clients::new(&config.clients),
            stack: Arc::new(stack),
        }));
        Ok(())
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(crate) fn stack(&self) -> Arc<Stack> {
        Arc::clone(&self.0.policies.load().stack)
    }

    /// Handles a request. What is logged of it is written when its answer has ended.
    pub(crate) async fn handle(self, request: Request<Body>) -> Response {
        let id = RequestId::new();
        let mut log = AccessLog::new(id.clone());
        let span = server_span::new(&id, request.method(), self.0.trace.is_some());
        if let Some(trace) = &self.0.trace {
            trace.continue_in(&span, request.headers());
        }
        let answer = self.0.answer(request, &mut log);
        let answer = answer.instrument(span.clone()).await;
        let mut response = match answer {
            Ok(mut answer) => {
                log.set_answer(Answer::of(answer.status(), answer.headers()));
                answer.on_completion(move |completion| log.finish(completion));
                reply::answer(answer, &span)
            }
            Err(refusal) => {
                let response = match refusal {
                    Refusal::Own(error) => error.into_response(),
                    Refusal::Upstream(error) => {
                        log.set_fault(error.fault().kind());
                        let mut response = reply::error(error);
                        if let Some(attempts) = log.attempts() {
                            told::attempts(response.headers_mut(), attempts);
                        }
                        response
                    }
                };
                log.set_answer(Answer::of(response.status(), response.headers()));
                log.finish(&Completion::complete(None));
                response
            }
        };
        server_span::answered(&span, response.status());
        let headers = response.headers_mut();
        headers.entry(REQUEST_ID).or_insert_with(|| id.to_header());
        response
    }
}

impl Inner {
    async fn answer(
        &self,
        request: Request<Body>,
        log: &mut AccessLog,
    ) -> Result<RawResponse, Refusal> {
        let (parts, body) = request.into_parts();
        let Server {
            max_body_bytes,
            body_timeout,
            ..
        } = self.server;
        let policies = self.policies.load_full();
        let admitted = match self.admit(&policies.clients, &parts) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                body::discard(body, max_body_bytes, body_timeout).await;
                return Err(refusal.into());
            }
        };
        log.set_client(admitted.context.tenant().cloned());
        let body = body::read(body, max_body_bytes, body_timeout, &self.budget).await?;
        match admitted.route {
            Route::PassThrough => {
                log.set_operation("PassThrough");
                server_span::routed("PassThrough");
                let deadline = admitted.context.deadline();
                let answer = self.pass_through(&admitted.region, parts, body);
                match deadline {
                    Some(deadline) => timeout_at(deadline, answer).await.map_err(late)?,
                    None => answer.await,
                }
            }
            Route::Operation(operation, model) => {
                let target = Target::new(admitted.region, model);
                log.set_operation(operation.as_str());
                server_span::routed(operation.as_str());
                log.set_target(target.clone());
                let context = admitted.context.with_streaming(operation.is_streaming());
                let call = invocation(operation, target.clone(), context, &parts, body)?;
                let attempts = call.input().attempts().clone();
                log.set_attempts(attempts.clone());
                let asked = Invocation::new(target.clone(), operation)
                    .with_demand(call.demand())
                    .with_context(call.context().clone());
                let stack = &policies.stack;
                let answer = stack.service(operation).oneshot(call).await;
                let mut answer = answer
                    .map_err(|error| stack.say_when_to_come_back(error, &asked, attempts.get()))?;
                let served = Served::new(&target, answer.history());
                served.write(answer.headers_mut());
                told::attempts(answer.headers_mut(), attempts.get());
                log.set_served_by(served.by());
                Ok(answer)
            }
        }
    }

    fn admit(&self, clients: &Clients, parts: &Parts) -> Result<Admitted, WireError> {
        let mut context = clients.identify(&parts.headers)?;
        deadline::limit(&mut context, &parts.headers, Instant::now())?;
        let route = Route::parse(&parts.method, parts.uri.path())?;
        let region = scope::region(&parts.headers, &self.regions)?.clone();
        Ok(Admitted {
            context,
            region,
            route,
        })
    }

    async fn pass_through(
        &self,
        region: &Region,
        parts: Parts,
        body: Bytes,
    ) -> Result<RawResponse, Refusal> {
        let headers = forwarded_request(&parts.headers);
        let path = path_and_query(&parts);
        let answer = self
            .upstream
            .pass_through(region, parts.method, path, headers, body);
        Ok(answer.await.inspect_err(log_failure)?)
    }
}

/// What passes through has no policy to say so.
fn late(elapsed: Elapsed) -> UpstreamError {
    let what = "there was no answer in the time that the client gave it";
    UpstreamError::no_answer(what, elapsed, FaultKind::Timeout)
}

fn invocation(
    operation: Operation,
    target: Target,
    context: Context,
    parts: &Parts,
    body: Bytes,
) -> Result<Invocation<RawRequest>, WireError> {
    let demand = demand(operation, &body).map_err(|error| {
        WireError::validation(format!("The request's body is not JSON: {error}."))
    })?;
    let request = RawRequest::new(
        operation,
        target.model().clone(),
        path_and_query(parts),
        forwarded_request(&parts.headers),
        body,
    )
    .with_max_output_tokens(demand.max_output_tokens())
    .with_cacheable(cached::allowed(&parts.headers));
    Ok(Invocation::new(target, request)
        .with_demand(demand)
        .with_context(context))
}

fn path_and_query(parts: &Parts) -> PathAndQuery {
    // Only CONNECT has none, and that is no path the route lets through.
    parts
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::Own(error)
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}
