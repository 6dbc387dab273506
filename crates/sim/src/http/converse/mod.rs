//! Converse: the one language that all models are spoken to in.

pub(crate) mod answer;
pub(crate) mod content;
pub(crate) mod prompt;
pub(crate) mod request;
pub(crate) mod validate;

use self::{answer::Echo, prompt::prompt, request::ConverseRequest};
use super::{
    body::{self, Malformed},
    prompt::Question,
};
use crate::ServiceError;

/// Reads a body and checks it.
pub(super) fn read(body: &[u8]) -> Result<(Question, Echo), ServiceError> {
    let request: ConverseRequest = body::parse(body).map_err(Malformed::into_converse_error)?;
    validate::request(&request)?;
    let additional = request.additional_model_request_fields.as_ref();
    let question = Question {
        prompt: prompt(
            &request.system,
            &request.messages,
            request.tool_config.as_ref(),
            additional,
        ),
        max_tokens: request
            .inference_config
            .and_then(|config| u64::try_from(config.max_tokens?).ok()),
    };
    let echo = Echo {
        service_tier: request.service_tier.map(|config| config.tier),
        latency: request.performance_config.and_then(|config| config.latency),
    };
    Ok((question, echo))
}
