//! One call: from the request to its answer.

use std::{future::pending, time::SystemTime};

use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use tower_bedrock_core::{ModelId, Region, TokenUsage};
use uuid::Uuid;

use super::{
    Face, authentication, body,
    connection::Connection,
    converse::answer::milliseconds,
    error, event_stream,
    language::{self, Writer},
    prompt_cache::Written,
    stream as streaming,
};
use crate::{
    Admitted, At, Call, Denied, Disruption, Exception, Operation, Plan, ServiceError, Simulator,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// `/model/{modelId}/{operation}`
pub(super) async fn model_operation(
    State(face): State<Face>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    match path {
        Ok(Path((model, segment))) => match operation(request.method(), &segment) {
            Some(operation) => exchange(&face, operation, &model, request).await,
            None => unknown_operation(State(face.simulator), request).await,
        },
        // Not UTF-8, so no operation's path.
        Err(_) => unknown_operation(State(face.simulator), request).await,
    }
}

/// Everything else.
pub(super) async fn unknown_operation(
    State(simulator): State<Simulator>,
    request: Request,
) -> Response {
    let error = ServiceError::new(
        Exception::UnknownOperation,
        "The requested operation is not recognized by the service.",
    );
    let region = authentication::region(request.headers(), &simulator)
        .unwrap_or_else(|_| simulator.default_region().clone());
    simulator.refused("", &region, "", &error);
    let response = error::response(&error, "", &simulator);
    with_request_id(response, &Uuid::new_v4().to_string())
}

fn operation(method: &Method, segment: &str) -> Option<Operation> {
    if method != Method::POST {
        return None;
    }
    Operation::ALL
        .into_iter()
        .find(|operation| operation.segment() == segment)
}

async fn exchange(face: &Face, operation: Operation, model: &str, request: Request) -> Response {
    let simulator = &face.simulator;
    let (head, body) = request.into_parts();
    let connection = head.extensions.get::<Connection>().cloned();
    let request_id = Uuid::new_v4().to_string();
    let region = authentication::region(&head.headers, simulator);
    let booked_on = region
        .clone()
        .unwrap_or_else(|_| simulator.default_region().clone());
    let ready = ask(face, operation, region, model, &head, body, &request_id).await;
    let response = match ready {
        Ok(ready) => answer(face, ready, connection).await,
        Err(error) => {
            simulator.refused(operation.as_str(), &booked_on, model, &error);
            error::response(&error, model, simulator)
        }
    };
    with_request_id(response, &request_id)
}

/// A call that is fit to be made.
struct Ready {
    call: Call,
    writer: Writer,
    written: Written,
}

/// Reads the request and checks all that can be checked without the engine.
async fn ask(
    face: &Face,
    operation: Operation,
    region: Result<Region, ServiceError>,
    model: &str,
    head: &Parts,
    body: Body,
    request_id: &str,
) -> Result<Ready, ServiceError> {
    let body = body::read(body, operation).await?;
    let credentials = face.simulator.credentials();
    authentication::authenticate(credentials, head, &body, SystemTime::now())?;
    let region = region?;
    let model: ModelId = model.parse().map_err(|_| ServiceError::unknown_model())?;
    let asked = language::read(operation, &model, &head.headers, &body, request_id)?;
    let mut call = Call::new(operation, region, model, asked.prompt.input());
    call.max_tokens = asked.max_tokens;
    call.service_tier = asked.service_tier;
    let written = match operation {
        Operation::CountTokens => Written::default(),
        _ => face
            .prompt_cache
            .look_up(&face.simulator, &asked.prompt, &mut call)?,
    };
    Ok(Ready {
        call,
        writer: asked.writer,
        written,
    })
}

async fn answer(face: &Face, ready: Ready, connection: Option<Connection>) -> Response {
    let simulator = &face.simulator;
    let Ready {
        call,
        writer,
        written,
    } = ready;
    let admitted = match simulator.begin(&call) {
        Ok(admitted) => admitted,
        Err(Denied::Error(error)) => return error::response(&error, writer.model(), simulator),
        Err(Denied::Html503 { retry_after }) => return error::html_503(retry_after, simulator),
        Err(Denied::Reset) => return cut(connection).await,
    };
    face.prompt_cache.keep(written, simulator.now());
    let disruption = match admitted.plan().disruption() {
        Some((at, disruption)) if at == At::Answer || !call.operation.is_streaming() => {
            Some(disruption.clone())
        }
        _ => None,
    };
    match disruption {
        // Its place in the quotas is kept until the client gives up.
        Some(Disruption::Hang) => pending().await,
        Some(Disruption::Reset | Disruption::Corrupt) => {
            admitted.fail();
            cut(connection).await
        }
        Some(Disruption::Exception(error)) => {
            admitted.wait_until(admitted.plan().duration()).await;
            admitted.fail();
            error::response(&error, writer.model(), simulator)
        }
        None if call.operation.is_streaming() => {
            stream(call.operation, admitted, writer, connection)
        }
        None => whole(call.operation, admitted, &writer).await,
    }
}

async fn whole(operation: Operation, admitted: Admitted, writer: &Writer) -> Response {
    admitted.wait_until(admitted.plan().duration()).await;
    let plan = admitted.plan();
    let mut response = Json(writer.whole(plan)).into_response();
    if operation == Operation::InvokeModel {
        add_counts(response.headers_mut(), plan);
    }
    admitted.complete();
    response
}

fn stream(
    operation: Operation,
    admitted: Admitted,
    writer: Writer,
    connection: Option<Connection>,
) -> Response {
    let mut response = Response::new(streaming::body(admitted, writer, connection));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(event_stream::CONTENT_TYPE),
    );
    if operation == Operation::InvokeModelWithResponseStream {
        headers.insert(
            HeaderName::from_static("x-amzn-bedrock-content-type"),
            HeaderValue::from_static("application/json"),
        );
    }
    response
}

fn add_counts(headers: &mut HeaderMap, plan: &Plan) {
    let TokenUsage {
        input,
        output,
        cache_read,
        cache_write,
    } = plan.usage();
    for (name, count) in [
        ("x-amzn-bedrock-input-token-count", input),
        ("x-amzn-bedrock-output-token-count", output),
        ("x-amzn-bedrock-cache-read-input-token-count", cache_read),
        ("x-amzn-bedrock-cache-write-input-token-count", cache_write),
        ("x-amzn-bedrock-invocation-latency", milliseconds(plan)),
    ] {
        headers.insert(HeaderName::from_static(name), count.into());
    }
}

/// No answer at all. Where the connection is not ours to cut, a response that breaks off in its body is
/// the nearest thing.
async fn cut(connection: Option<Connection>) -> Response {
    let error = streaming::cut(connection.as_ref()).await;
    let mut response = Response::new(Body::from_stream(stream::iter([Err::<String, _>(error)])));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}

fn with_request_id(mut response: Response, id: &str) -> Response {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
