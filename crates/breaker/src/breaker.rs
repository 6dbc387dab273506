//! The breaker of one key, shared by everything that calls it: the state machine behind a lock, and a gate in
//! front of it.

#[cfg(test)]
mod loom_tests;

use std::sync::{Arc, atomic::Ordering};

use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::{Duration, Instant};
use tower_bedrock_core::Fault;

use crate::{
    Event, EventKind, FaultClass, Observer, Snapshot, State,
    config::Config,
    machine::{Admission, Command, Machine, Outcome, Refusal},
    permit::Permit,
    sync::{AtomicU64, Mutex, MutexGuard},
};

/// The gate of a breaker whose calls have to ask. Generations start at one.
const ASK: u64 = 0;
/// Not settled: a success has to be counted.
const COUNT: u64 = 0;

pub(crate) struct Breaker<Q> {
    key: Q,
    rules: Arc<Rules<Q>>,
    /// The generation while every call passes, so that a call is admitted by one load; else [`ASK`].
    ///
    /// Written under the lock, after every transition. A call that loads the gate just before a transition
    /// was admitted before it, and its generation says so.
    gate: AtomicU64,
    /// The generation while a success in it would leave everything as it is, because the window holds
    /// nothing but successes already; else [`COUNT`]. So a breaker in good health isn't written to, and the
    /// calls of one target don't queue for its lock.
    ///
    /// Written under the lock, with whatever is counted. A success that loads it just before a failure is
    /// counted comes before that failure.
    settled: AtomicU64,
    machine: Mutex<Machine>,
}

/// What the breakers of a layer have in common.
pub(crate) struct Rules<Q> {
    pub(crate) config: Config,
    /// Boxed, since only a fault asks for it and a success doesn't.
    pub(crate) classify: Box<dyn Fn(&Fault) -> FaultClass + Send + Sync>,
    /// Boxed, since only a transition calls it.
    pub(crate) observer: Box<dyn Observer<Q>>,
}

impl<Q> Breaker<Q> {
    /// A breaker in the state that `command` leads to from closed.
    pub(crate) fn new(key: Q, rules: Arc<Rules<Q>>, seed: u64, command: Command) -> Self {
        let mut machine = Machine::new(&rules.config, SmallRng::seed_from_u64(seed));
        // No event: nobody has met it in another state.
        machine.command(command);
        Self {
            key,
            rules,
            gate: AtomicU64::new(gate(&machine)),
            settled: AtomicU64::new(settled(&machine)),
            machine: Mutex::new(machine),
        }
    }

    #[inline]
    pub(crate) const fn key(&self) -> &Q {
        &self.key
    }

    #[inline]
    pub(crate) fn rules(&self) -> &Rules<Q> {
        &self.rules
    }

    pub(crate) fn give_back(&self, generation: u64) {
        self.machine.lock().give_back(generation);
    }

    pub(crate) fn state(&self) -> State {
        self.machine.lock().state()
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        self.machine.lock().snapshot(&self.rules.config, now)
    }

    pub(crate) fn retry_after(&self, now: Instant) -> Option<Duration> {
        self.machine.lock().retry_after(&self.rules.config, now)
    }

    /// Whether a new breaker, made in the state that `initial` leads to, would do as well: nothing of an
    /// outage and no operator's word is lost with it.
    pub(crate) fn is_idle(&self, initial: Command, now: Instant) -> bool {
        let machine = self.machine.lock();
        let over = machine.retry_after(&self.rules.config, now) == Some(Duration::ZERO);
        let state = match machine.state() {
            // Both would let a call pass, as a closed one does. Probes under way keep theirs by their permits.
            State::Open if over => State::Closed,
            State::HalfOpen => State::Closed,
            state => state,
        };
        state == initial.state()
    }
}

impl<Q: Clone> Breaker<Q> {
    /// Asks for a call to pass. `now` is asked only where not every call does.
    #[inline]
    pub(crate) fn admit(
        self: &Arc<Self>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Permit<Q>, Refusal> {
        let generation = self.gate.load(Ordering::Acquire);
        if generation != ASK {
            return Ok(Permit::call(Arc::clone(self), generation));
        }
        let now = now();
        let mut machine = self.machine.lock();
        let (admission, event) = machine.admit(&self.rules.config, now);
        self.publish(machine, event);
        match admission {
            Admission::Call { generation } => Ok(Permit::call(Arc::clone(self), generation)),
            Admission::Probe { generation } => Ok(Permit::probe(Arc::clone(self), generation)),
            Admission::Refused(refusal) => Err(refusal),
        }
    }

    #[inline]
    pub(crate) fn record(&self, generation: u64, outcome: Outcome, now: impl FnOnce() -> Instant) {
        if outcome == Outcome::SUCCESS && self.settled.load(Ordering::Acquire) == generation {
            return;
        }
        let mut machine = self.machine.lock();
        let event = machine.record(&self.rules.config, generation, outcome, now);
        if event.is_some() {
            self.publish(machine, event);
        } else {
            self.settled.store(settled(&machine), Ordering::Release);
        }
    }

    pub(crate) fn command(&self, command: Command) {
        let mut machine = self.machine.lock();
        let event = machine.command(command);
        self.publish(machine, event);
    }

    /// What follows a change of state: what is read without the lock is set before the lock is released, and
    /// the observer is told after it.
    #[cold]
    fn publish(&self, machine: MutexGuard<'_, Machine>, event: Option<EventKind>) {
        let generation = machine.generation();
        self.gate.store(gate(&machine), Ordering::Release);
        self.settled.store(settled(&machine), Ordering::Release);
        drop(machine);

        if let Some(kind) = event {
            self.rules.observer.on_event(&Event {
                key: self.key.clone(),
                generation,
                at: Instant::now(),
                kind,
            });
        }
    }
}

fn gate(machine: &Machine) -> u64 {
    if machine.passes_all() {
        machine.generation()
    } else {
        ASK
    }
}

#[inline]
fn settled(machine: &Machine) -> u64 {
    if machine.ignores_success() {
        machine.generation()
    } else {
        COUNT
    }
}
