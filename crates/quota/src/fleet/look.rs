//! How a key stands, as its worker sees it.

use super::{
    attention::Turned,
    renewal::{Claim, LIMITS},
};
use crate::{
    budget::Budget,
    meter::{Joins, Meter, Share},
    queue::Load,
    state::State,
    time::Time,
};

/// What is used of a key's limits, and what it could use more for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// By limit; the limit of one that is not declared is zero.
    pub(crate) claims: [Claim; LIMITS],
    /// What it would have use for beyond that, were the calls that wait not there by chance. Those who wait are few
    /// where callers make one call after the other: with room, each would make as many in a window as calls of that
    /// length fit in. Twice as much as before at the most.
    pub(crate) more: [u64; LIMITS],
    /// Calls let through since the beginning.
    pub(crate) granted: u64,
    /// Whether calls wait or were turned away that a larger share would let through.
    pub(crate) hungry: bool,
    pub(crate) throttled: bool,
    /// Nothing is in use, and nobody waits.
    pub(crate) idle: bool,
    /// There is a limit that the fleet has not been asked for.
    pub(crate) new: bool,
    /// There is a limit at all.
    pub(crate) shared: bool,
}

impl Look {
    /// Looks, at `now`; the state has been brought up to it.
    pub(crate) fn at(state: &State, turned: Turned) -> Self {
        let queue = state.queue();
        let waiting = queue.load();
        let head = queue.head().map(|head| head.tokens);
        let tokens = match head {
            Some(tokens) => tokens,
            None => turned.largest,
        };
        let wanted = Load {
            calls: waiting.calls.saturating_add(turned.calls),
            tokens: waiting.tokens.saturating_add(turned.tokens),
        };
        let needs = [u64::from(wanted.calls > 0), tokens];
        Self::of(state.budget(), needs, [wanted.calls, wanted.tokens])
    }

    /// `needs` is what the next call needs of each limit, and `wanted` what all do that wait.
    pub(crate) fn of(budget: &Budget, needs: [u64; LIMITS], wanted: [u64; LIMITS]) -> Self {
        let mut look = Self {
            granted: budget.granted(),
            idle: wanted[0] == 0 && budget.in_flight().calls == 0,
            ..Self::default()
        };
        for (limit, meter) in budget.meters().into_iter().enumerate() {
            let Some(share) = meter.share() else {
                continue;
            };
            let mut claim = claim(meter, share, needs[limit], wanted[limit]);
            let room = claim.holds.saturating_sub(claim.used);
            if wanted[0] > 0 && needs[limit] > room {
                claim.demand = claim.demand.saturating_add(claim.used / 8);
                let more = wanted[limit].saturating_mul(budget.turns());
                look.more[limit] = more.min(claim.demand);
                look.hungry |= !share.is_whole();
            }
            look.throttled |= claim.throttled > 0;
            look.shared = true;
            look.new |= share.is_new();
            look.idle &= claim.used == 0;
            look.claims[limit] = claim;
        }
        look
    }
}

fn claim(meter: &Meter, share: &Share, need: u64, wanted: u64) -> Claim {
    let reading = meter.reading();
    let used = reading.used.saturating_add(reading.debt);
    Claim {
        limit: reading.declared.unwrap_or(0),
        holds: share.cap(),
        used,
        debt: meter.owed(),
        // A sixteenth more, so that who has enough does not run short as soon as it needs a little more.
        demand: used.saturating_add(used / 16).saturating_add(wanted),
        need,
        version: share.version(),
        throttled: share.throttled_of_thousand(),
    }
}

/// What a member changes the shares of: a [`Budget`], or a model of one.
pub(crate) trait Shares {
    /// Changes the shares of all limits that are shared. `change` is told which limit, and what is declared.
    fn each_share(&mut self, change: impl FnMut(usize, u64, &mut Share));
}

impl Shares for Budget {
    fn each_share(&mut self, mut change: impl FnMut(usize, u64, &mut Share)) {
        for (limit, meter) in self.meters_mut().into_iter().enumerate() {
            let declared = meter.reading().declared.unwrap_or(0);
            meter.change_share(|share| change(limit, declared, share));
        }
    }
}

/// No limits of a minute.
pub(crate) struct NoShares;

impl Shares for NoShares {
    fn each_share(&mut self, _: impl FnMut(usize, u64, &mut Share)) {}
}

/// From now on the limits are a fleet's, and this process has nothing of them until it is answered; if nobody
/// does, it has a safe share after some time.
pub(crate) fn join(budget: &mut Budget, joins: Joins, now: Time) {
    for meter in budget.meters_mut() {
        meter.join(joins, now);
    }
}

/// Whether there is a limit to share.
pub(crate) fn is_shared(budget: &Budget) -> bool {
    budget.meters().iter().any(|meter| meter.share().is_some())
}
