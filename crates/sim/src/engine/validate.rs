//! What the real service refuses before it thinks of quotas.

use std::collections::HashMap;

use tower_bedrock_core::{ModelId, Region, Route};

use crate::{Call, Exception, Operation, ServiceError, model::Model, quota::Limit, regions};

/// The model behind an id as called.
pub(super) fn resolve<'a>(
    models: &'a HashMap<String, Model>,
    regions: &HashMap<Region, Limit>,
    region: &Region,
    id: &ModelId,
) -> Result<&'a Model, ServiceError> {
    if !regions.contains_key(region) {
        return Err(ServiceError::new(
            Exception::InvalidSignature,
            "Credential should be scoped to a valid region.",
        ));
    }
    if id.region().is_some_and(|of_arn| of_arn != region) {
        return Err(ServiceError::unknown_model());
    }
    let model = models
        .get(id.base())
        .ok_or_else(ServiceError::unknown_model)?;
    if model.routes.contains_key(&id.route()) && regions::has_route(region, id.route()) {
        Ok(model)
    } else if id.route() == Route::OnDemand {
        Err(ServiceError::not_on_demand(id.as_str()))
    } else {
        Err(ServiceError::unknown_model())
    }
}

/// `max_tokens`, the model's own maximum where the request sets none.
pub(super) fn max_tokens(call: &Call, model: &Model) -> Result<u64, ServiceError> {
    let max = model.max_output_tokens;
    let invoke = matches!(
        call.operation,
        Operation::InvokeModel | Operation::InvokeModelWithResponseStream
    );
    match call.max_tokens {
        None => Ok(max),
        Some(0) if invoke => Err(ServiceError::validation(
            "max_tokens: Input should be greater than or equal to 1",
        )),
        Some(0) => Err(ServiceError::validation(
            "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy \
             constraint: Member must have value greater than or equal to 1",
        )),
        Some(asked) if asked > max && invoke => Err(ServiceError::validation(format!(
            "max_tokens: {asked} > {max}, which is the maximum allowed number of output tokens for {}",
            call.model.base(),
        ))),
        Some(asked) if asked > max => Err(ServiceError::validation(format!(
            "The maximum tokens you requested exceeds the model limit of {max}. Try again with a maximum \
             tokens value that is lower than {max}."
        ))),
        Some(asked) => Ok(asked),
    }
}
