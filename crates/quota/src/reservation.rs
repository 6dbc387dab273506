use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread,
};

use tokio::time::Duration;
use tower_bedrock_core::{Completion, Demand, Fault, FaultKind};

use crate::{
    budget::{Ending, Grant},
    cost,
    key::Key,
    state::Waited,
    time::nanos,
};

/// What one call has reserved of its quota.
///
/// It ends in one of four ways: [`complete`](Self::complete) charges what the call cost,
/// [`fail`](Self::fail) gives back what Bedrock refused and keeps what it may have charged,
/// [`refund`](Self::refund) gives everything back, and dropping it gives everything back if the call was
/// not [`sent`](Self::sent), and keeps it if it was: a call dropped in flight runs on at Bedrock, and
/// nobody learns what it cost. What is kept counts for as long as the window is long.
#[must_use = "what is reserved is given back when this is dropped"]
pub struct Reservation {
    /// `None` where there is nothing to keep count of.
    held: Option<Held>,
}

struct Held {
    key: Arc<Key>,
    grant: Grant,
    waited: Option<Waited>,
    demand: Demand,
    on_hold: bool,
    sent: bool,
    ended: bool,
}

impl Reservation {
    const fn new(key: Arc<Key>, grant: Grant, waited: Option<Waited>, demand: Demand) -> Self {
        Self {
            held: Some(Held {
                key,
                grant,
                // Who waited is let through by somebody else, and sends when it comes to it.
                on_hold: waited.is_some(),
                waited,
                demand,
                sent: false,
                ended: false,
            }),
        }
    }

    /// The same, of a call that was let through after so long. Whoever observes is told once there is something that
    /// gives back what was reserved: it may panic.
    pub(crate) fn admitted(
        key: Arc<Key>,
        grant: Grant,
        waited: Option<Waited>,
        demand: Demand,
        after: Duration,
    ) -> Self {
        let reservation = Self::new(key, grant, waited, demand);
        if let Some(held) = &reservation.held {
            held.key.tell(|observe, name| observe.admitted(name, after));
        }
        reservation
    }

    /// A call that nobody keeps count of.
    pub(crate) const fn unmetered() -> Self {
        Self { held: None }
    }

    /// The tokens reserved; zero for a call that is not kept count of.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.grant.tokens)
    }

    /// The call is not sent yet, because something else takes time first. What it reserved counts until it is
    /// [`sent`](Self::sent), and for a window's length from then; without this it counts from the moment it
    /// was let through, and a call that is sent a minute late would find its place taken by another.
    ///
    /// A reservation that had to wait is on hold already.
    pub fn hold(&mut self) {
        if let Some(held) = &mut self.held
            && !held.on_hold
            && !held.sent
        {
            held.on_hold = true;
            let now = held.key.clock().now();
            held.key.put_on_hold(&mut held.grant, now);
        }
    }

    /// The call is sent now.
    pub fn sent(&mut self) {
        if let Some(held) = &mut self.held
            && !held.sent
        {
            held.sent = true;
            if std::mem::take(&mut held.on_hold) {
                let now = held.key.clock().now();
                held.key.send(&mut held.grant, now);
            }
        }
    }

    /// The call was answered: charges what it cost, and learns from it.
    pub fn complete(mut self, completion: &Completion) {
        if let Some(held) = &mut self.held {
            let model = held.key.model();
            if let Some(usage) = &completion.usage {
                model.learn(&held.demand, usage);
            }
            let max_output = model.output_tokens(&held.demand);
            let ending = cost::of_completion(completion, max_output, model.burndown);
            held.end(ending, true);
        }
    }

    /// The call failed: gives back what it reserved where Bedrock refused it, and keeps it where the call may
    /// have run. A throttle shrinks the limit it names.
    pub fn fail(mut self, fault: &Fault) {
        if let Some(held) = &mut self.held {
            if fault.kind() == FaultKind::ThrottledTokensPerDay {
                let retry_after = fault.retry_after().map(nanos);
                let now = held.key.clock().now();
                held.key.day_throttled(held.grant.sent, now, retry_after);
            }
            held.end(cost::of_fault(fault), true);
        }
    }

    /// The call was not sent: gives everything back.
    pub fn refund(mut self) {
        if let Some(held) = &mut self.held {
            held.end(Ending::Refunded, true);
        }
    }
}

impl Held {
    /// Done where it stands: moving it would cost as much as the rest.
    fn end(&mut self, ending: Ending, read_clock: bool) {
        self.ended = true;
        let Self {
            key, grant, waited, ..
        } = self;
        // A guard may be dropped where the runtime's clock is out of reach; the key's last moment will do.
        let clock = read_clock.then(|| key.clock());
        key.end(grant, waited.as_ref(), ending, clock.as_ref());
        if thread::panicking() {
            // It may be the observer that panics, and once more while the first panic unwinds would end the process.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| self.tell(ending)));
        } else {
            self.tell(ending);
        }
    }

    fn tell(&self, ending: Ending) {
        self.key.tell(|observe, name| {
            if let Ending::Throttled(_) = ending {
                observe.throttled(name);
            }
            let cost = match ending {
                Ending::Settled(settlement) => Some(settlement.cost),
                Ending::Kept => None,
                Ending::Refunded | Ending::Throttled(_) => Some(0),
            };
            observe.settled(name, self.grant.tokens, cost);
        });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(held) = &mut self.held
            && !held.ended
        {
            let ending = if held.sent {
                Ending::Kept
            } else {
                Ending::Refunded
            };
            held.end(ending, false);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Reservation");
        if let Some(held) = &self.held {
            debug
                .field("key", held.key.name())
                .field("tokens", &held.grant.tokens)
                .field("sent", &held.sent);
        }
        debug.finish_non_exhaustive()
    }
}
