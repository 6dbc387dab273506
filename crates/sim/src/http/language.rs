//! Reading a call and writing its answer, in the words of the operation that was asked.

use http::HeaderMap;
use serde_json::{Value, json};
use tower_bedrock_core::{ModelId, ServiceTier};

use super::{
    converse::{
        self,
        answer::{self, Echo},
    },
    count_tokens,
    event_stream::Event,
    invoke::{self, Family},
    prompt::{Prompt, Question},
};
use crate::{Operation, Plan, ServiceError};

/// Writes the answer to one call.
#[derive(Debug)]
pub(super) struct Writer {
    language: Language,
    model: ModelId,
    request_id: String,
}

#[derive(Debug)]
enum Language {
    Converse(Echo),
    Invoke(Family),
    CountTokens,
}

/// What a body asks, in whatever language.
pub(super) struct Asked {
    pub(super) prompt: Prompt,
    pub(super) max_tokens: Option<u64>,
    pub(super) service_tier: Option<ServiceTier>,
    pub(super) writer: Writer,
}

/// Reads a body, and the headers that belong to it, and checks them.
pub(super) fn read(
    operation: Operation,
    model: &ModelId,
    headers: &HeaderMap,
    body: &[u8],
    request_id: &str,
) -> Result<Asked, ServiceError> {
    let asked = |language, question: Question, tier: Option<&str>| Asked {
        prompt: question.prompt,
        max_tokens: question.max_tokens,
        service_tier: tier.and_then(|tier| tier.parse().ok()),
        writer: Writer {
            language,
            model: model.clone(),
            request_id: request_id.to_owned(),
        },
    };
    Ok(match operation {
        Operation::Converse | Operation::ConverseStream => {
            let (question, echo) = converse::read(body)?;
            let tier = echo.service_tier.clone();
            asked(Language::Converse(echo), question, tier.as_deref())
        }
        Operation::InvokeModel | Operation::InvokeModelWithResponseStream => {
            let tier = invoke::check_headers(headers)?;
            let family = Family::of(model, body);
            asked(Language::Invoke(family), family.read(body)?, tier)
        }
        Operation::CountTokens => {
            let question = count_tokens::read(model, body)?;
            asked(Language::CountTokens, question, None)
        }
    })
}

impl Writer {
    /// The body of a unary answer.
    pub(super) fn whole(&self, plan: &Plan) -> Value {
        match &self.language {
            Language::Converse(echo) => answer::whole(plan, echo),
            Language::Invoke(family) => family.whole(plan, &self.model, &self.request_id),
            Language::CountTokens => json!({ "inputTokens": plan.usage.input }),
        }
    }

    /// What a stream begins with.
    pub(super) fn start(&self, plan: &Plan) -> Vec<Event> {
        match &self.language {
            Language::Converse(_) => answer::start(),
            Language::Invoke(family) => family.start(plan, &self.model, &self.request_id),
            Language::CountTokens => Vec::new(),
        }
    }

    /// A piece of text.
    pub(super) fn delta(&self, text: &str) -> Vec<Event> {
        match &self.language {
            Language::Converse(_) => answer::delta(text),
            Language::Invoke(family) => family.delta(text),
            Language::CountTokens => Vec::new(),
        }
    }

    /// What a stream ends with.
    pub(super) fn end(&self, plan: &Plan) -> Vec<Event> {
        match &self.language {
            Language::Converse(echo) => answer::end(plan, echo),
            Language::Invoke(family) => family.end(plan),
            Language::CountTokens => Vec::new(),
        }
    }

    /// The model id as called.
    pub(super) fn model(&self) -> &str {
        self.model.as_str()
    }
}

#[cfg(test)]
mod tests;
