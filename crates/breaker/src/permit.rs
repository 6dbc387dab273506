//! A call's leave to pass, which reports how it ended.

use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Completion, Fault, Outcome as Ending};

use crate::{
    FaultClass,
    breaker::Breaker,
    machine::{CallResult, Outcome},
};

/// Dropped without a report, it counts as nothing and gives a probe's place back.
///
/// It knows the generation it was given in, so that whatever it reports after a transition is not counted.
pub(crate) struct Permit<Q> {
    breaker: Arc<Breaker<Q>>,
    generation: u64,
    /// Set where dropping it has something to give back.
    holds_place: bool,
    /// When it was given, where slow calls are counted.
    since: Option<Instant>,
    /// How long the answer took, once it is there.
    took: Option<Duration>,
}

impl<Q: Clone> Permit<Q> {
    pub(crate) fn call(breaker: Arc<Breaker<Q>>, generation: u64) -> Self {
        Self::new(breaker, generation, false)
    }

    pub(crate) fn probe(breaker: Arc<Breaker<Q>>, generation: u64) -> Self {
        Self::new(breaker, generation, true)
    }

    fn new(breaker: Arc<Breaker<Q>>, generation: u64, holds_place: bool) -> Self {
        let since = breaker.rules().config.slow_calls.map(|_| Instant::now());
        Self {
            breaker,
            generation,
            holds_place,
            since,
            took: None,
        }
    }

    /// The inner service answered: whatever comes after it is not the target's slowness.
    pub(crate) fn answered(&mut self) {
        self.took = self.since.map(|since| since.elapsed());
    }

    /// The call failed.
    pub(crate) fn failed(mut self, fault: &Fault) {
        self.answered();
        self.report_fault(fault);
    }

    /// The response ended. For a stream this is long after it was answered.
    pub(crate) fn completed(mut self, completion: &Completion) {
        if completion.time_to_first_token.is_some() {
            self.took = completion.time_to_first_token;
        }
        match completion.outcome {
            Ending::Complete => self.report(CallResult::Success),
            Ending::Failed(fault) => self.report_fault(&fault),
            Ending::Dropped => {}
        }
    }

    fn report_fault(self, fault: &Fault) {
        match (self.breaker.rules().classify)(fault) {
            FaultClass::Failure => self.report(CallResult::Failure),
            FaultClass::SoftFailure => self.report(CallResult::SoftFailure),
            FaultClass::Ignore => {}
        }
    }

    fn report(mut self, result: CallResult) {
        self.holds_place = false;
        let slow = self.breaker.rules().config.slow_calls;
        let outcome = Outcome {
            result,
            slow: slow
                .zip(self.took)
                .is_some_and(|(slow, took)| took > slow.duration),
        };
        self.breaker.record(self.generation, outcome, Instant::now);
    }
}

impl<Q> Drop for Permit<Q> {
    fn drop(&mut self) {
        if self.holds_place {
            self.breaker.give_back(self.generation);
        }
    }
}
