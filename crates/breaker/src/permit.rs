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
}

impl<Q: Clone> Permit<Q> {
    #[inline]
    pub(crate) fn call(breaker: Arc<Breaker<Q>>, generation: u64) -> Self {
        Self::new(breaker, generation, false)
    }

    pub(crate) fn probe(breaker: Arc<Breaker<Q>>, generation: u64) -> Self {
        Self::new(breaker, generation, true)
    }

    #[inline]
    fn new(breaker: Arc<Breaker<Q>>, generation: u64, holds_place: bool) -> Self {
        let since = breaker.rules().config.slow_calls.map(|_| Instant::now());
        Self {
            breaker,
            generation,
            holds_place,
            since,
        }
    }

    /// The time since it was given, where slow calls are counted.
    #[inline]
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }

    /// The call failed.
    pub(crate) fn failed(self, fault: &Fault) {
        let took = self.elapsed();
        self.report_fault(fault, took);
    }

    /// The response ended. It was there after `took`: for a stream, long ago.
    #[inline]
    pub(crate) fn completed(self, completion: &Completion, took: Option<Duration>) {
        let took = completion.time_to_first_token.or(took);
        match completion.outcome {
            Ending::Complete => self.report(CallResult::Success, took),
            Ending::Failed(fault) => self.report_fault(&fault, took),
            Ending::Dropped => {}
        }
    }

    fn report_fault(self, fault: &Fault, took: Option<Duration>) {
        match (self.breaker.rules().classify)(fault) {
            FaultClass::Failure => self.report(CallResult::Failure, took),
            FaultClass::SoftFailure => self.report(CallResult::SoftFailure, took),
            FaultClass::Ignore => {}
        }
    }

    #[inline]
    fn report(mut self, result: CallResult, took: Option<Duration>) {
        self.holds_place = false;
        let slow_calls = self.breaker.rules().config.slow_calls;
        let slow = slow_calls
            .zip(took)
            .is_some_and(|(slow_calls, took)| took > slow_calls.duration);
        self.breaker
            .record(self.generation, Outcome { result, slow }, Instant::now);
    }
}

impl<Q> Drop for Permit<Q> {
    #[inline]
    fn drop(&mut self) {
        if self.holds_place {
            self.breaker.give_back(self.generation);
        }
    }
}
