//! `/_sim`: the calls that script the simulator.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tower_bedrock_core::{ModelId, Region};

use super::Face;
use crate::{ConfigError, FaultSpec, Ledger, ModelSettings, Simulator};

const CALLS: &str = "expected one of GET /_sim/health, GET or DELETE /_sim/ledger, \
    PUT /_sim/models/{modelId}, POST or DELETE /_sim/faults, DELETE /_sim/faults/{id}, \
    POST /_sim/reset";

/// An answer to a control call that cannot be.
struct Refusal {
    status: StatusCode,
    message: String,
}

pub(super) fn router() -> Router<Face> {
    Router::new()
        .route("/health", get(health))
        .route("/ledger", get(ledger).delete(clear_ledger))
        .route("/models/{model}", put(set_model))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/reset", post(reset))
        .fallback(async || Refusal {
            status: StatusCode::NOT_FOUND,
            message: CALLS.to_owned(),
        })
        .method_not_allowed_fallback(async || Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            message: CALLS.to_owned(),
        })
}

async fn health() -> Response {
    Json(json!({ "status": "ready" })).into_response()
}

async fn ledger(State(simulator): State<Simulator>) -> Json<Ledger> {
    Json(simulator.ledger())
}

async fn clear_ledger(State(simulator): State<Simulator>) -> StatusCode {
    simulator.clear_ledger();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelQuery {
    region: Option<String>,
}

async fn set_model(
    State(simulator): State<Simulator>,
    model: Result<Path<String>, PathRejection>,
    query: Result<Query<ModelQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let Path(model) = model.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let Query(query) = query.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let model: ModelId = model.parse().map_err(Refusal::of)?;
    let region: Option<Region> = query
        .region
        .map(|region| region.parse().map_err(Refusal::of))
        .transpose()?;
    let settings: ModelSettings = parse(body)?;
    simulator.set_model(&model, region.as_ref(), &settings)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_fault(
    State(simulator): State<Simulator>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let fault: FaultSpec = parse(body)?;
    let id = simulator.add_fault(fault)?;
    Ok(Json(json!({ "id": id })).into_response())
}

async fn remove_fault(
    State(simulator): State<Simulator>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<StatusCode, Refusal> {
    if id.is_ok_and(|Path(id)| simulator.remove_fault(id)) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal {
            status: StatusCode::NOT_FOUND,
            message: "no such fault: expected the id that POST /_sim/faults answered".to_owned(),
        })
    }
}

async fn clear_faults(State(simulator): State<Simulator>) -> StatusCode {
    simulator.clear_faults();
    StatusCode::NO_CONTENT
}

async fn reset(State(face): State<Face>) -> StatusCode {
    face.simulator.reset();
    face.prompt_cache.clear();
    StatusCode::NO_CONTENT
}

/// Reads JSON, whatever the content type says: `curl -d` says it is a form. Errors name the field.
fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    Json::from_bytes(&body)
        .map(|Json(value)| value)
        .map_err(|rejection| Refusal::bad(rejection.body_text()))
}

// === impl Refusal ===

impl Refusal {
    const fn bad(message: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message,
        }
    }

    fn of(error: impl std::error::Error) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        Self::of(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "message": self.message }))).into_response()
    }
}
