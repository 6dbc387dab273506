use std::fmt;

use tokio::time::{Duration, Instant, sleep_until};

use crate::{
    Plan, Simulator,
    engine::{Ending, InFlight},
};

/// A call under way. It holds the call's place in the quotas until it is settled: by
/// [`complete`](Self::complete), by [`fail`](Self::fail), or by being dropped, which settles what was
/// generated until then.
#[must_use = "dropping it settles the call as one whose caller went away"]
pub struct Admitted {
    plan: Plan,
    simulator: Simulator,
    started: Duration,
    /// Taken when it is settled.
    in_flight: Option<InFlight>,
}

impl Admitted {
    pub(crate) const fn new(plan: Plan, simulator: Simulator, in_flight: InFlight) -> Self {
        Self {
            plan,
            simulator,
            started: in_flight.started(),
            in_flight: Some(in_flight),
        }
    }

    /// How it is to be answered.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) const fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// When, by the clock, something is to happen that is `due` so long after the admission.
    #[must_use]
    pub fn instant(&self, due: Duration) -> Instant {
        self.simulator.instant(self.started.saturating_add(due))
    }

    /// Waits until something is due. A timer may fire a millisecond late, so what is due has none.
    pub(crate) async fn wait_until(&self, due: Duration) {
        let due = self.instant(due);
        if Instant::now() < due {
            sleep_until(due).await;
        }
    }

    /// Settles a call that was answered whole.
    pub fn complete(mut self) {
        self.settle(Ending::Complete);
    }

    /// Settles a call that ended by its planned disruption.
    pub fn fail(mut self) {
        self.settle(Ending::Disrupted);
    }

    fn settle(&mut self, ending: Ending) {
        if let Some(in_flight) = self.in_flight.take() {
            self.simulator.finish(&self.plan, in_flight, ending);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.settle(Ending::Dropped);
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("plan", &self.plan)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}
