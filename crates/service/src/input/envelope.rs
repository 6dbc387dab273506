//! What an envelope decides, written into the SDK's inputs.

use aws_sdk_bedrockruntime::types::{self, InferenceConfiguration, ServiceTierType};
use tower_bedrock_core::{Demand, Target};

pub(super) fn set_model_id(model_id: &mut Option<String>, target: &Target) {
    let wanted = target.model().as_str();
    if model_id.as_deref() != Some(wanted) {
        *model_id = Some(wanted.to_owned());
    }
}

pub(super) fn set_max_tokens(config: &mut Option<InferenceConfiguration>, demand: &Demand) {
    if let Some(max) = demand.max_output_tokens() {
        let config = config.get_or_insert_with(|| InferenceConfiguration::builder().build());
        // Beyond what the API can say lies no model's maximum.
        config.max_tokens = Some(i32::try_from(max).unwrap_or(i32::MAX));
    }
}

pub(super) fn set_tier(tier: &mut Option<types::ServiceTier>, target: &Target) {
    if let Some(wanted) = wanted_tier(target) {
        *tier = types::ServiceTier::builder().r#type(wanted).build().ok();
    }
}

pub(super) fn set_header_tier(tier: &mut Option<ServiceTierType>, target: &Target) {
    if let Some(wanted) = wanted_tier(target) {
        *tier = Some(wanted);
    }
}

fn wanted_tier(target: &Target) -> Option<ServiceTierType> {
    target
        .service_tier()
        .map(|tier| ServiceTierType::from(tier.as_str()))
}
