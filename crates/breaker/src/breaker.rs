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
    sync::{AtomicU64, Mutex},
};

/// The gate of a breaker whose calls have to ask. Generations start at one.
const ASK: u64 = 0;

pub(crate) struct Breaker<Q> {
    key: Q,
    rules: Arc<Rules<Q>>,
    /// The generation while every call passes, so that a call is admitted by one load; else [`ASK`].
    ///
    /// Written under the lock, after every transition. A call that loads the gate just before a transition
    /// was admitted before it, and its generation says so.
    gate: AtomicU64,
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
            machine: Mutex::new(machine),
        }
    }

    pub(crate) const fn key(&self) -> &Q {
        &self.key
    }

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
        match machine.state() {
            State::Open => machine.retry_after(&self.rules.config, now) == Some(Duration::ZERO),
            State::HalfOpen => true,
            state => state == initial.state(),
        }
    }
}

impl<Q: Clone> Breaker<Q> {
    /// Asks for a call to pass. `now` is asked only where not every call does.
    pub(crate) fn admit(
        self: &Arc<Self>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Permit<Q>, Refusal> {
        let generation = self.gate.load(Ordering::Acquire);
        if generation != ASK {
            return Ok(Permit::call(Arc::clone(self), generation));
        }
        let now = now();
        match self.change(|machine, config| machine.admit(config, now)) {
            Admission::Call { generation } => Ok(Permit::call(Arc::clone(self), generation)),
            Admission::Probe { generation } => Ok(Permit::probe(Arc::clone(self), generation)),
            Admission::Refused(refusal) => Err(refusal),
        }
    }

    pub(crate) fn record(&self, generation: u64, outcome: Outcome, now: impl FnOnce() -> Instant) {
        self.change(|machine, config| ((), machine.record(config, generation, outcome, now)));
    }

    pub(crate) fn command(&self, command: Command) {
        self.change(|machine, _| ((), machine.command(command)));
    }

    /// Everything that can change the state goes through here: the gate follows before the lock is released,
    /// and the observer is told after it.
    fn change<T>(&self, change: impl FnOnce(&mut Machine, &Config) -> (T, Option<EventKind>)) -> T {
        let mut machine = self.machine.lock();
        let (answer, kind) = change(&mut machine, &self.rules.config);
        let (generation, gate) = (machine.generation(), gate(&machine));
        if self.gate.load(Ordering::Relaxed) != gate {
            self.gate.store(gate, Ordering::Release);
        }
        drop(machine);

        if let Some(kind) = kind {
            self.rules.observer.on_event(&Event {
                key: self.key.clone(),
                generation,
                at: Instant::now(),
                kind,
            });
        }
        answer
    }
}

fn gate(machine: &Machine) -> u64 {
    if machine.passes_all() {
        machine.generation()
    } else {
        ASK
    }
}
