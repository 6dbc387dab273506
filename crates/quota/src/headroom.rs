use tokio::time::Duration;
use tower_bedrock_core::{Context, Demand, Headroom, Priority, Target, clock};

use crate::{Limiter, QuotaKey, cost, key::Key, meter::Reading};

/// How one limit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Level {
    /// The limit as declared; `None` where it is not known.
    pub declared: Option<u64>,
    /// The limit as it is kept now: lower than declared after 429s, and learnt from them where nothing is
    /// declared. In a fleet, this process's share of it. `None` where nothing is known.
    pub effective: Option<u64>,
    /// What is used of it, reservations included.
    pub used: u64,
    /// What was used beyond it and is still to be worked off.
    pub debt: u64,
}

/// How one quota key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The key.
    pub key: QuotaKey,
    /// Requests a minute.
    pub requests_per_minute: Level,
    /// Tokens a minute.
    pub tokens_per_minute: Level,
    /// Tokens a day, of the whole Region.
    pub tokens_per_day: Level,
    /// Calls that were let through and have not ended.
    pub calls_in_flight: u64,
    /// What they have reserved.
    pub tokens_in_flight: u64,
    /// Calls that wait, in the order of [`Priority::ALL`].
    pub waiting: [u64; Priority::ALL.len()],
}

impl Limiter {
    /// How the quota of a target stands; `None` where it has not been called.
    #[must_use]
    pub fn snapshot(&self, target: &Target) -> Option<Snapshot> {
        let key = self.registry().find(target)?;
        Some(self.look(&key))
    }

    /// How every quota that is kept count of stands, in no particular order.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let keys = self.registry().keys();
        keys.iter().map(|key| self.look(key)).collect()
    }

    fn look(&self, key: &Key) -> Snapshot {
        let now = self.config().clock.now();
        key.look(|state, mut day| {
            state.budget_mut().at(now, day.as_deref_mut());
            let budget = state.budget();
            Snapshot {
                key: key.name().clone(),
                requests_per_minute: budget.requests().reading().into(),
                tokens_per_minute: budget.tokens().reading().into(),
                tokens_per_day: day.map_or_else(Level::default, |day| day.reading().into()),
                calls_in_flight: budget.in_flight().calls,
                tokens_in_flight: budget.in_flight().tokens,
                waiting: state.queue().waiting_by_class(),
            }
        })
    }

    /// What a call would reserve. Teaches nothing and warns of nothing: it is not being sent.
    fn tokens_of(&self, target: &Target, demand: &Demand) -> u64 {
        let base = target.model().base();
        let config = self.config();
        let (input, output) = match (self.registry().model(base), demand.max_output_tokens()) {
            (Some(model), Some(output)) => (model.input_tokens(demand), output),
            (Some(model), None) => {
                let output = model.right_size().unwrap_or(model.max_output);
                (model.input_tokens(demand), output)
            }
            (None, output) => {
                let input = match &config.estimate {
                    Some(estimate) => estimate.input_tokens(base, demand),
                    None => demand.input_tokens(),
                };
                let output = output.unwrap_or_else(|| config.max_output_tokens.of(base));
                (input, output)
            }
        };
        cost::reserved(input, output)
    }
}

/// How long a call would wait for its quota.
///
/// In a fleet, a question to which the answer is not zero counts as a call that was turned away: who calls only once there
/// is room is to be given some. So ask for calls that would be made, and not to see how the quota stands: for that there
/// is [`snapshot`](Limiter::snapshot).
impl Headroom for Limiter {
    fn time_to_serve(&self, target: &Target, demand: &Demand, context: &Context) -> Duration {
        self.time_to_serve_leaving(0.0, target, demand, context)
    }

    /// A share of each limit as it is kept now, to the nearest whole request or token: of one that nothing is declared of,
    /// of what its pace lets through at once; in a fleet, of this process's part of a minute, and of the whole day, or of
    /// this process's part of that while the store is silent.
    fn time_to_serve_leaving(
        &self,
        share: f64,
        target: &Target,
        demand: &Demand,
        context: &Context,
    ) -> Duration {
        let at = clock::now();
        let now = self.config().clock.time(at);
        let tokens = self.tokens_of(target, demand);
        let ask = self.config().ask(Some(Duration::MAX), tokens, context, at);
        let refusal = match self.registry().find(target) {
            Some(key) => key.wait(&ask, share, now),
            None => {
                let (mut state, day) = self.registry().sketch(target, self.config());
                let mut day = day.lock();
                state.wait(&ask, share, now, day.as_deref_mut())
            }
        };
        refusal.map_or(Duration::ZERO, |refusal| {
            let wait = refusal.retry_after.map(Duration::from_nanos);
            wait.unwrap_or(Duration::MAX)
        })
    }
}

impl From<Reading> for Level {
    fn from(reading: Reading) -> Self {
        Self {
            declared: reading.declared,
            effective: reading.effective,
            used: reading.used,
            debt: reading.debt,
        }
    }
}
