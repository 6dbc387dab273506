//! One log event a call: what was asked, by whom, and what came of it. Never a body, never a key.

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tower_bedrock_core::{Completion, FaultKind, Outcome, Target, Tenant};

use crate::{
    request_id::RequestId,
    upstream::Attempts,
    wire_error::{ERROR_TYPE, REQUEST_ID},
};

/// What is known of a call so far. Writes its event when told how it ended, or when it is dropped
/// before: the client went away.
#[derive(Debug)]
pub(crate) struct AccessLog {
    id: RequestId,
    started: Instant,
    client: Option<Tenant>,
    operation: Option<&'static str>,
    target: Option<Target>,
    served_by: Option<Target>,
    attempts: Option<Attempts>,
    fault: Option<FaultKind>,
    answer: Option<Answer>,
    written: bool,
}

/// The head of the answer that the client was given.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    exception: Option<String>,
    upstream_request_id: Option<String>,
}

impl Answer {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        Self {
            status,
            exception: text(ERROR_TYPE).map(bare_name),
            upstream_request_id: text(REQUEST_ID),
        }
    }
}

/// `Name:http://...` is `Name` with a note of where it comes from.
fn bare_name(mut name: String) -> String {
    name.truncate(name.find(':').unwrap_or(name.len()));
    name
}

impl AccessLog {
    pub(crate) fn new(id: RequestId) -> Self {
        Self {
            id,
            started: Instant::now(),
            client: None,
            operation: None,
            target: None,
            served_by: None,
            attempts: None,
            fault: None,
            answer: None,
            written: false,
        }
    }

    pub(crate) fn set_client(&mut self, client: Option<Tenant>) {
        self.client = client;
    }

    pub(crate) fn set_operation(&mut self, operation: &'static str) {
        self.operation = Some(operation);
    }

    pub(crate) fn set_target(&mut self, target: Target) {
        self.target = Some(target);
    }

    /// The target that answered. Logged where it is another than the one that was asked for.
    pub(crate) fn set_served_by(&mut self, target: &Target) {
        self.served_by = Some(target)
            .filter(|target| self.target.as_ref() != Some(target))
            .cloned();
    }

    /// Where it is counted how often Bedrock is asked.
    pub(crate) fn set_attempts(&mut self, attempts: Attempts) {
        self.attempts = Some(attempts);
    }

    /// How often Bedrock was asked; `None` of a call that no policy applies to.
    pub(crate) fn attempts(&self) -> Option<u32> {
        self.attempts.as_ref().map(Attempts::get)
    }

    pub(crate) fn set_fault(&mut self, fault: FaultKind) {
        self.fault = Some(fault);
    }

    pub(crate) fn set_answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// Writes the event: the call has ended.
    pub(crate) fn finish(mut self, completion: &Completion) {
        self.write(completion);
    }

    fn write(&mut self, completion: &Completion) {
        self.written = true;
        let answer = self.answer.as_ref();
        let status = answer.map(|answer| answer.status.as_u16());
        let (outcome, fault) = match completion.outcome {
            Outcome::Complete if status.is_some_and(|status| status >= 400) => {
                ("error", self.fault)
            }
            Outcome::Complete => ("complete", None),
            Outcome::Failed(fault) => ("failed", Some(fault.kind())),
            Outcome::Dropped => ("dropped", None),
        };
        let usage = completion.usage.as_ref();
        let milliseconds = |time: tokio::time::Duration| time.as_millis() as u64;
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    request_id = self.id.as_str(),
                    upstream_request_id = answer.and_then(|a| a.upstream_request_id.as_deref()),
                    client = self.client.as_ref().map(Tenant::as_str),
                    operation = self.operation,
                    target = self.target.as_ref().map(tracing::field::display),
                    served_by = self.served_by.as_ref().map(tracing::field::display),
                    attempts = self.attempts(),
                    status,
                    exception = answer.and_then(|a| a.exception.as_deref()),
                    outcome,
                    fault = fault.map(FaultKind::as_str),
                    duration_ms = milliseconds(self.started.elapsed()),
                    time_to_first_token_ms = completion.time_to_first_token.map(milliseconds),
                    input_tokens = usage.map(|usage| usage.input),
                    output_tokens = usage.map(|usage| usage.output),
                    cache_read_tokens = usage.map(|usage| usage.cache_read),
                    cache_write_tokens = usage.map(|usage| usage.cache_write),
                    "answered"
                )
            };
        }
        let server_error = status.is_some_and(|status| status >= 500);
        if server_error || outcome == "failed" {
            event!(tracing::Level::WARN);
        } else {
            event!(tracing::Level::INFO);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if !self.written {
            self.write(&Completion::default());
        }
    }
}
