use std::sync::Arc;

use tokio::time::Instant;
use tower_bedrock_core::{Completion, Fault, FaultKind, History, Outcome, Target, clock};

use crate::{
    handles::{HandleCache, Handles, Scope},
    table,
};

/// One call under way. Dropped before it was told how the call ended, it counts a cancelled call.
#[derive(Debug)]
pub(crate) struct Recording {
    // `None` once the call has ended.
    handles: Option<Arc<Handles>>,
    /// What the application asked for, where the handles are not that target's own.
    requested: Option<Target>,
    start: Instant,
}

impl Recording {
    pub(crate) fn new(handles: &HandleCache, target: &Target) -> Self {
        let handles = handles.get(target);
        Self {
            handles: Some(Arc::clone(handles)),
            requested: handles.target.is_none().then(|| target.clone()),
            start: clock::now(),
        }
    }

    /// The call ended with an error.
    pub(crate) fn failed(mut self, fault: Fault, history: Option<&History>) {
        if let Some(handles) = self.handles.take() {
            fault_of(&handles, fault.kind());
            if handles.scope == Scope::Request {
                journey(&handles, history);
            }
        }
    }

    /// What happened on the way to an answer that has begun to arrive.
    pub(crate) fn answered(&self, history: Option<&History>) {
        if let Some(handles) = &self.handles
            && handles.scope == Scope::Request
        {
            journey(handles, history);
            if let Some(history) = history {
                let requested = handles.target.as_ref().or(self.requested.as_ref());
                if history.degraded.is_some() {
                    handles.degraded_answers.increment(1);
                } else if history.served_by.is_some() && history.served_by.as_ref() != requested {
                    handles.fallback_model_invocations.increment(1);
                }
            }
        }
    }

    /// The answer has ended.
    pub(crate) fn completed(mut self, completion: &Completion) {
        let Some(handles) = self.handles.take() else {
            return;
        };
        if handles.scope == Scope::Attempt {
            if let Some(after) = completion.time_to_first_token {
                handles
                    .time_to_first_token
                    .record(after.as_secs_f64() * 1_000.0);
            }
            if let Some(usage) = completion.usage {
                handles.input_token_count.increment(usage.input);
                handles.output_token_count.increment(usage.output);
                handles
                    .cache_read_input_token_count
                    .increment(usage.cache_read);
                handles
                    .cache_write_input_token_count
                    .increment(usage.cache_write);
            }
        }
        match completion.outcome {
            Outcome::Complete => {
                match handles.scope {
                    Scope::Attempt => {
                        handles.invocations.increment(1);
                        // The leaf may have taken its time within this very poll.
                        let now = clock::read();
                        handles.invocation_latency.record(self.milliseconds(now));
                    }
                    Scope::Request => {
                        handles.requests.increment(1);
                        let now = clock::now();
                        handles.request_latency.record(self.milliseconds(now));
                    }
                }
            }
            Outcome::Failed(fault) => fault_of(&handles, fault.kind()),
            Outcome::Dropped => cancelled(&handles),
        }
    }

    fn milliseconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.start).as_secs_f64() * 1_000.0
    }
}

fn fault_of(handles: &Handles, kind: FaultKind) {
    match handles.scope {
        Scope::Attempt => handles.fault(metric_of(kind), kind),
        Scope::Request => {
            handles.requests.increment(1);
            handles.fault(table::REQUEST_ERRORS, kind);
        }
    }
}

fn cancelled(handles: &Handles) {
    match handles.scope {
        Scope::Attempt => handles.cancelled_invocations.increment(1),
        Scope::Request => handles.cancelled_requests.increment(1),
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(handles) = self.handles.take() {
            cancelled(&handles);
        }
    }
}

/// AWS keeps throttles apart from errors, and the caller's errors apart from its own.
pub(crate) fn metric_of(kind: FaultKind) -> table::Metric {
    let too_many = matches!(kind, FaultKind::ModelOverloaded | FaultKind::ModelNotReady);
    if kind.is_throttle() || too_many {
        table::INVOCATION_THROTTLES
    } else if kind.is_callers_mistake() {
        table::INVOCATION_CLIENT_ERRORS
    } else {
        table::INVOCATION_SERVER_ERRORS
    }
}

fn journey(handles: &Handles, history: Option<&History>) {
    let Some(history) = history else { return };
    // The first attempt at each hop that was asked is no retry.
    let hops_asked = history
        .failed_hops
        .iter()
        .filter(|hop| hop.attempts > 0)
        .count();
    let first_attempts = hops_asked + usize::from(history.served_by.is_some() || hops_asked == 0);
    let retries = u64::from(history.attempts).saturating_sub(first_attempts as u64);
    if retries > 0 {
        handles.retries.increment(retries);
    }
    if let Some(cause) = history.gave_up {
        handles.gave_up(cause);
    }
}
