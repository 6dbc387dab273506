use std::borrow::Cow;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Duration;
use wildmatch::WildMatch;

use super::{FaultAt, FaultName, FaultSpec};
use crate::{At, ConfigError, Denied, Disruption, Exception, Operation, ServiceError};

/// The faults to come, in the order they were added.
#[derive(Debug)]
pub(crate) struct Script {
    faults: Vec<Pending>,
    next_id: u64,
    random: StdRng,
}

#[derive(Debug)]
struct Pending {
    id: u64,
    spec: FaultSpec,
    model: WildMatch,
    added: Duration,
    /// How often it will still strike.
    left: Option<u64>,
}

/// A fault that strikes a call.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) id: u64,
    pub(crate) effect: Effect,
}

/// What a fault does to a call.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It is not admitted.
    Deny(Denied),
    /// It is admitted, and its answer disrupted.
    Disrupt(At, Disruption),
    /// It is admitted, and its answer comes slowly.
    Slow,
}

impl Script {
    /// The most faults that can be pending, so that a script gone wrong cannot grow without bound.
    const MAX: usize = 10_000;

    pub(crate) fn new(seed: u64) -> Self {
        Self {
            faults: Vec::new(),
            next_id: 1,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Answers the fault's id.
    pub(crate) fn add(&mut self, spec: FaultSpec, now: Duration) -> Result<u64, ConfigError> {
        spec.validate()?;
        // Those that are over are forgotten first.
        self.faults.retain(|fault| !fault.is_over(now));
        if self.faults.len() >= Self::MAX {
            return Err(ConfigError::invalid(
                "faults",
                format!("{} long", self.faults.len()),
                format!("at most {} faults pending", Self::MAX),
            ));
        }
        let id = self.next_id;
        self.next_id += 1;
        self.faults.push(Pending {
            id,
            model: WildMatch::new(&spec.model),
            added: now,
            left: spec.times,
            spec,
        });
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.faults.len();
        self.faults.retain(|fault| fault.id != id);
        self.faults.len() != before
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// The fault that strikes this call, if one does.
    pub(crate) fn strike(
        &mut self,
        now: Duration,
        operation: Operation,
        model: &str,
    ) -> Option<Strike> {
        let Self { faults, random, .. } = self;
        let fault = faults.iter_mut().find(|fault| {
            fault.matches(now, operation, model)
                && fault
                    .spec
                    .probability
                    .is_none_or(|probability| random.random_bool(probability))
        })?;
        if let Some(left) = &mut fault.left {
            *left -= 1;
        }
        Some(Strike {
            id: fault.id,
            effect: effect(&fault.spec, model),
        })
    }
}

impl Pending {
    fn matches(&self, now: Duration, operation: Operation, model: &str) -> bool {
        let spec = &self.spec;
        let after = |ms| self.added.saturating_add(Duration::from_millis(ms));
        self.left != Some(0)
            && spec.operation.is_none_or(|wanted| wanted == operation)
            && (spec.at.is_none() || operation.is_streaming())
            && spec.from_ms.is_none_or(|from| now >= after(from))
            && !self.is_over(now)
            && self.model.matches(model)
    }

    fn is_over(&self, now: Duration) -> bool {
        let until = self.spec.until_ms.map(Duration::from_millis);
        self.left == Some(0) || until.is_some_and(|until| now >= self.added.saturating_add(until))
    }
}

fn effect(spec: &FaultSpec, model: &str) -> Effect {
    let at = spec.at.map(At::from);
    let retry_after = spec.retry_after.map(Duration::from_secs);
    if let Some(error) = spec.kind.error(model) {
        let message = spec.message.clone().map(Cow::Owned);
        return match at {
            None => Effect::Deny(Denied::Error(customised(error, message, retry_after))),
            Some(at) => {
                let error = customised(in_stream(error), message, None);
                Effect::Disrupt(at, Disruption::Exception(error))
            }
        };
    }
    match (spec.kind, at) {
        (FaultName::Slow, _) => Effect::Slow,
        (FaultName::Hang, at) => Effect::Disrupt(at.unwrap_or(At::Answer), Disruption::Hang),
        (FaultName::Reset, Some(at)) => Effect::Disrupt(at, Disruption::Reset),
        (FaultName::Corrupt, Some(at)) => Effect::Disrupt(at, Disruption::Corrupt),
        (FaultName::Html503, _) => Effect::Deny(Denied::Html503 { retry_after }),
        _ => Effect::Deny(Denied::Reset),
    }
}

/// A model's failure has another name once the stream has begun.
fn in_stream(error: ServiceError) -> ServiceError {
    if error.exception() == Exception::ModelError {
        ServiceError::new(Exception::ModelStreamError, error.message().to_owned())
    } else {
        error
    }
}

fn customised(
    error: ServiceError,
    message: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
) -> ServiceError {
    let error = match message {
        Some(message) => ServiceError::new(error.exception(), message),
        None => error,
    };
    match retry_after {
        Some(after) => error.with_retry_after(after),
        None => error,
    }
}

impl From<FaultAt> for At {
    fn from(at: FaultAt) -> Self {
        match at {
            FaultAt::FirstEvent => Self::FirstEvent,
            FaultAt::AfterDeltas(deltas) => Self::AfterDeltas(deltas),
        }
    }
}
