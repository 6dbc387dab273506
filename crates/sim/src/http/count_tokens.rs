//! CountTokens: a body of Converse's or InvokeModel's, to be counted and not answered.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tower_bedrock_core::ModelId;

use super::{
    body::{self, Malformed},
    converse::{prompt::prompt, request::ConverseTokensRequest, validate},
    invoke::Family,
    prompt::Question,
};
use crate::{Exception, ServiceError};

#[derive(Deserialize)]
struct Request {
    input: Input,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Input {
    Converse(ConverseTokensRequest),
    InvokeModel(InvokeModel),
}

#[derive(Deserialize)]
struct InvokeModel {
    body: String,
}

/// Reads a body and checks it.
pub(super) fn read(model: &ModelId, body: &[u8]) -> Result<Question, ServiceError> {
    let request: Request = body::parse(body).map_err(Malformed::into_converse_error)?;
    match request.input {
        Input::Converse(request) => {
            let tools = request.tool_config.as_ref();
            validate::conversation(&request.messages, tools)?;
            let additional = request.additional_model_request_fields.as_ref();
            Ok(Question {
                prompt: prompt(&request.system, &request.messages, tools, additional),
                max_tokens: None,
            })
        }
        Input::InvokeModel(request) => {
            let body = STANDARD.decode(request.body).map_err(|error| {
                ServiceError::new(
                    Exception::Serialization,
                    format!("input.invokeModel.body is not base64: {error}"),
                )
            })?;
            Family::of(model, &body).read(&body)
        }
    }
}
