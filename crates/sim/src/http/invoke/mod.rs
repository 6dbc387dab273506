//! InvokeModel: each model family's own language.

mod anthropic;
mod nova;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use tower_bedrock_core::ModelId;

use super::{
    body::{self, Malformed},
    converse::{
        answer::milliseconds,
        validate::{Constraints, LATENCIES, SERVICE_TIERS},
    },
    event_stream::Event,
    prompt::Question,
};
use crate::{Plan, ServiceError};

/// The model families whose bodies the simulator reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's Messages.
    Anthropic,
    /// Amazon Nova's.
    Nova,
}

const SERVICE_TIER: &str = "x-amzn-bedrock-service-tier";
const LATENCY: &str = "x-amzn-bedrock-performanceconfig-latency";

/// Checks the settings that come in headers, and answers the service tier.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<Option<&str>, ServiceError> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let tier = header(SERVICE_TIER);
    let latency = header(LATENCY);
    let mut constraints = Constraints::default();
    constraints.one_of("serviceTier", tier, SERVICE_TIERS);
    constraints.one_of("performanceConfigLatency", latency, LATENCIES);
    constraints.check()?;
    Ok(tier)
}

impl Family {
    /// The family of a model. An id that does not tell (an application's own profile, a model made up
    /// for a test) is told by the body: every body of Anthropic's says so.
    pub(super) fn of(model: &ModelId, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Probe {
            #[serde(rename = "anthropic_version")]
            _anthropic_version: IgnoredAny,
        }

        let base = model.base();
        if base.starts_with("anthropic.") {
            Self::Anthropic
        } else if base.starts_with("amazon.nova") {
            Self::Nova
        } else if serde_json::from_slice::<Probe>(body).is_ok() {
            Self::Anthropic
        } else {
            Self::Nova
        }
    }

    /// Reads a body and checks it.
    pub(super) fn read(self, body: &[u8]) -> Result<Question, ServiceError> {
        match self {
            Self::Anthropic => body::parse::<anthropic::Request>(body)
                .map_err(Malformed::into_invoke_error)?
                .question(),
            Self::Nova => body::parse::<nova::Request>(body)
                .map_err(Malformed::into_invoke_error)?
                .question(),
        }
    }

    /// The body of a unary answer. `id` is the request's.
    pub(super) fn whole(self, plan: &Plan, model: &ModelId, id: &str) -> Value {
        match self {
            Self::Anthropic => anthropic::whole(plan, model, id),
            Self::Nova => nova::whole(plan),
        }
    }

    /// What a stream begins with.
    pub(super) fn start(self, plan: &Plan, model: &ModelId, id: &str) -> Vec<Event> {
        chunks(match self {
            Self::Anthropic => anthropic::start(plan, model, id),
            Self::Nova => nova::start(),
        })
    }

    /// A piece of text.
    pub(super) fn delta(self, text: &str) -> Vec<Event> {
        chunks(match self {
            Self::Anthropic => anthropic::delta(text),
            Self::Nova => nova::delta(text),
        })
    }

    /// What a stream ends with. The last chunk carries what Bedrock measured, whatever the family.
    pub(super) fn end(self, plan: &Plan) -> Vec<Event> {
        let mut payloads = match self {
            Self::Anthropic => anthropic::end(plan),
            Self::Nova => nova::end(plan),
        };
        if let Some(last) = payloads.last_mut() {
            last["amazon-bedrock-invocationMetrics"] = metrics(plan);
        }
        chunks(payloads)
    }
}

fn metrics(plan: &Plan) -> Value {
    let first_byte = u64::try_from(plan.time_to_first_token().as_millis()).unwrap_or(u64::MAX);
    json!({
        "inputTokenCount": plan.usage().input,
        "outputTokenCount": plan.usage().output,
        "invocationLatency": milliseconds(plan),
        "firstByteLatency": first_byte,
        "cacheReadInputTokenCount": plan.usage().cache_read,
        "cacheWriteInputTokenCount": plan.usage().cache_write,
    })
}

fn chunks(payloads: Vec<Value>) -> Vec<Event> {
    payloads
        .into_iter()
        .map(|payload| Event {
            name: "chunk",
            payload: json!({ "bytes": STANDARD.encode(payload.to_string()) }),
        })
        .collect()
}
