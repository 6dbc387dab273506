//! A call's first steps: it asks its key, and goes, waits or is turned away.

use std::{sync::Arc, task::Waker};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Context, Demand, clock};

use crate::{
    Exhausted, Limit, Reason, Reservation,
    budget::Refusal,
    config::Config,
    key::{Key, Turn},
    registry::Meters,
    state::{Ask, Deadline, Waited},
    time::{Time, nanos},
    waiting::Seat,
};

/// The answer to a call that asks.
#[derive(Debug)]
pub(crate) enum Start {
    Reserved(Reservation),
    Refused(Exhausted),
    Waits(Seat),
}

impl Meters {
    /// Asks to reserve so many tokens, to wait for `max_wait` at the most or for as long as the limiter says.
    #[inline]
    pub(crate) fn start(
        self,
        max_wait: Option<Duration>,
        tokens: u64,
        demand: &Demand,
        context: &Context,
        waker: &Waker,
    ) -> Start {
        let key = match self {
            Self::Key(key) => key,
            Self::Nothing => return Start::Reserved(Reservation::unmetered()),
            Self::NoRoom => {
                let limit = Limit::TokensPerMinute;
                let after = Some(Duration::from_secs(1));
                let refused = Exhausted::new(limit, tokens, 0, Reason::TooManyKeys, after);
                return Start::Refused(refused);
            }
        };
        let at = clock::now();
        let now = key.clock().time(at);
        // Most calls go at once. Whose they are and how long they could wait is asked of the others.
        if key.config().is_in_time(context, at)
            && let Some(grant) = key.grant(tokens, now)
        {
            let after = Duration::ZERO;
            return Start::Reserved(Reservation::admitted(key, grant, None, *demand, after));
        }
        let ask = key.config().ask(max_wait, tokens, context, at);
        ask_to_wait(key, &ask, now, demand, waker)
    }
}

#[cold]
fn ask_to_wait(key: Arc<Key>, ask: &Ask<'_>, now: Time, demand: &Demand, waker: &Waker) -> Start {
    let reserved = |key: Arc<Key>, grant, waited| {
        let after = Duration::ZERO;
        Start::Reserved(Reservation::admitted(key, grant, waited, *demand, after))
    };
    let waited = || Waited {
        priority: ask.priority,
        tenant: ask.tenant.cloned(),
        weight: ask.weight,
    };
    match key.ask(ask, now, waker) {
        Turn::Granted(grant) => reserved(key, grant, None),
        // It has gone first, and its tenant was charged for that.
        Turn::Served(grant) => reserved(key, grant, Some(waited())),
        Turn::Refused(refusal) => Start::Refused(exhausted(&key, &refusal, Duration::ZERO)),
        Turn::Waits(id, _) => Start::Waits(Seat {
            key,
            id,
            waited: Some(waited()),
            since: now,
        }),
    }
}

impl Config {
    /// Whether an attempt can be over by a call's deadline that starts now.
    #[inline]
    fn is_in_time(&self, context: &Context, now: Instant) -> bool {
        context
            .deadline()
            .is_none_or(|at| !Deadline { at, now }.is_too_near(self.min_attempt_time.map(nanos)))
    }

    /// What a call asks. It waits for `max_wait` at the most, or for as long as the limiter says.
    #[cold]
    pub(crate) fn ask<'a>(
        &self,
        max_wait: Option<Duration>,
        tokens: u64,
        context: &'a Context,
        now: Instant,
    ) -> Ask<'a> {
        Ask {
            tokens,
            priority: context.priority(),
            tenant: context.tenant(),
            weight: context
                .tenant()
                .and_then(|tenant| self.weights.read().get(tenant).copied())
                .unwrap_or(1),
            max_wait: nanos(max_wait.unwrap_or(self.max_wait)),
            deadline: context.deadline().map(|at| Deadline { at, now }),
            attempt_time: self.min_attempt_time.map(nanos),
            streaming: context.is_streaming(),
            places: self.max_waiting as u64,
        }
    }
}

/// A refusal as the caller gets it; whoever observes is told.
pub(crate) fn exhausted(key: &Key, refusal: &Refusal, waited: Duration) -> Exhausted {
    let exhausted = Exhausted::new(
        refusal.limit,
        refusal.asked,
        refusal.available,
        refusal.reason,
        refusal.retry_after.map(Duration::from_nanos),
    );
    key.tell(|observe, name| observe.refused(name, &exhausted, waited));
    exhausted
}
