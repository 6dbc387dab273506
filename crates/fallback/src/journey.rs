use std::mem;

use tokio::time::Duration;
use tower_bedrock_core::{
    Degraded, Fault, FaultKind, HasCompletion, HasFault, History, Hop, Target,
};

use crate::Unserved;

/// What happened to a call so far, to be put in the history of its answer or its error.
#[derive(Debug)]
pub(crate) struct Journey<E> {
    failed_hops: Vec<Hop>,
    attempts: u32,
    /// What the hop that was asked last left behind; `None` where it left nothing.
    error: Option<E>,
    /// What went wrong last, but for what the request is not fit for: that is no fault of the call.
    fault: Option<Fault>,
}

impl<E> Journey<E> {
    pub(crate) const fn new() -> Self {
        Self {
            failed_hops: Vec::new(),
            attempts: 0,
            error: None,
            fault: None,
        }
    }

    /// A hop was left out.
    pub(crate) fn passed_over(&mut self, target: Target, fault: Fault) {
        self.fault = Some(fault);
        self.failed_hops.push(Hop::new(target, fault, 0));
    }

    /// A hop was left out because the request could not be made fit for it.
    pub(crate) fn refused(&mut self, target: Target, fault: Fault) {
        self.failed_hops.push(Hop::new(target, fault, 0));
    }

    /// A hop was cancelled before it answered.
    pub(crate) fn cancelled(&mut self, target: Target) {
        self.add(Hop::new(target, FaultKind::Timeout.into(), 1));
        self.error = None;
    }

    /// An alternative does not take the request as it is: the call ends with what went wrong elsewhere.
    pub(crate) fn declined(&mut self, target: Target, error: &E)
    where
        E: HasFault,
    {
        let hop = Hop::new(target, error.fault(), attempts(error));
        self.attempts = self.attempts.saturating_add(hop.attempts);
        self.failed_hops.push(hop);
    }

    /// A hop answered with an error.
    pub(crate) fn failed(&mut self, target: Target, error: E)
    where
        E: HasFault,
    {
        self.add(Hop::new(target, error.fault(), attempts(&error)));
        self.error = Some(error);
    }

    /// The service failed instead of becoming ready: no fault of a hop's.
    pub(crate) fn unready(&mut self, error: E)
    where
        E: HasFault,
    {
        self.fault = Some(error.fault());
        self.error = Some(error);
    }

    fn add(&mut self, hop: Hop) {
        self.attempts = self.attempts.saturating_add(hop.attempts);
        self.fault = Some(hop.fault);
        self.failed_hops.push(hop);
    }

    /// The call was served by `target`.
    pub(crate) fn into_answer<R: HasCompletion>(self, mut response: R, target: Target) -> R {
        if let Some(history) = response.history_mut() {
            history.attempts = history.attempts.max(1).saturating_add(self.attempts);
            history.served_by.get_or_insert(target);
            put_before(&mut history.failed_hops, self.failed_hops);
        }
        response
    }

    /// The call was answered by the responder.
    pub(crate) fn into_degraded<R: HasCompletion>(self, mut response: R) -> R {
        if let Some(history) = response.history_mut() {
            history.attempts = history.attempts.saturating_add(self.attempts);
            history.degraded.get_or_insert(Degraded::default());
            put_before(&mut history.failed_hops, self.failed_hops);
        }
        response
    }

    /// The call ends with the error of the hop that was asked last, or with one of our own.
    pub(crate) fn into_error(self) -> E
    where
        E: HasFault + From<Unserved>,
    {
        let own = Unserved(self.last_fault());
        let error = match self.error {
            // Nothing of ours to add.
            Some(error) if self.failed_hops.is_empty() => return error,
            Some(error) => error,
            None => own.into(),
        };
        error.update_history(|history: &mut History| {
            // The error's own attempts are among those that were added up.
            history.attempts = self.attempts;
            put_before(&mut history.failed_hops, self.failed_hops);
        })
    }

    /// Of hops that were passed over, the one that would have had room first says when to come back.
    fn last_fault(&self) -> Fault {
        let no_headroom = |fault: &Fault| fault.kind() == FaultKind::NoHeadroom;
        let faults = || self.failed_hops.iter().map(|hop| hop.fault);
        match self.fault {
            Some(last) if no_headroom(&last) => faults()
                .filter(no_headroom)
                .min_by_key(|fault| fault.retry_after().unwrap_or(Duration::MAX))
                .unwrap_or(last),
            Some(last) => last,
            // No hop was so much as looked at: the deadline had passed before the first.
            None => FaultKind::DeadlineExceeded.into(),
        }
    }
}

/// Those that policies inside this one have made, or the one.
fn attempts(error: &impl HasFault) -> u32 {
    error.history().map_or(1, |history| history.attempts.max(1))
}

/// A fallback inside this one has noted hops of its own: they came after ours.
fn put_before(hops: &mut Vec<Hop>, ours: Vec<Hop>) {
    let inner = mem::replace(hops, ours);
    hops.extend(inner);
}
