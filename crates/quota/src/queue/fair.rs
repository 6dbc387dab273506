use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use slab::Slab;
use tower_bedrock_core::Tenant;

/// The waiting calls of one priority class, shared fairly between tenants: virtual token counters, as in
/// Sheng et al., *Fairness in Serving Large Language Models* (OSDI '24).
///
/// A counter says how many tokens a tenant was served, divided by its weight. The tenant with the lowest
/// counter goes next, and within a tenant the earliest call. Who comes back after a pause does not bring
/// old credit: the counter is lifted to the lowest one of those who wait (or to that of the last who left,
/// where nobody does). A call is charged what it reserves when it is let through and corrected when its
/// true cost is known, so the paper's bound holds with its M, the most tokens in service at once, being the
/// most that are reserved: between two tenants that both wait all along, the service received differs by
/// no more than twice the larger of that and the largest call.
///
/// Every operation is O(log n) in the calls and tenants that wait.
#[derive(Debug, Default)]
pub(crate) struct Fair {
    members: Slab<Member>,
    by_tenant: HashMap<Option<Tenant>, usize>,
    /// Those who wait: lowest counter first, then the earliest head.
    waiting: BTreeSet<(u128, u64, usize)>,
    /// Those who don't, and whose counter is still above where a newcomer's would be lifted to.
    resting: BTreeSet<(u128, usize)>,
    /// Those who wait, by the number of their calls.
    by_length: BTreeSet<(u64, usize)>,
    last_left: u128,
    weights: u64,
    load: Load,
}

/// Calls and their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
}

/// Where a waiting call stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    member: usize,
    arrival: u64,
}

#[derive(Debug)]
struct Member {
    tenant: Option<Tenant>,
    counter: u128,
    weight: u32,
    calls: BTreeMap<u64, Call>,
    load: Load,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    id: usize,
    tokens: u64,
    /// Its tenant's when it came: what it is charged by, and corrected by in the end.
    weight: u32,
}

/// Counters are in 2^-16 tokens, so that a weight of up to 1,000 divides them finely.
const SCALE: u32 = 16;

/// The most tenants remembered that are not waiting. Beyond it those are forgotten that were ahead by the
/// least.
const MOST_RESTING: usize = 1_024;

impl Fair {
    pub(crate) fn push(
        &mut self,
        tenant: Option<&Tenant>,
        weight: u32,
        arrival: u64,
        id: usize,
        tokens: u64,
    ) -> Place {
        let member = self.member(tenant, weight);
        let lift = self
            .waiting
            .first()
            .map_or(self.last_left, |(counter, ..)| *counter);
        let entry = &mut self.members[member];
        if entry.calls.is_empty() {
            self.resting.remove(&(entry.counter, member));
            entry.counter = entry.counter.max(lift);
            self.waiting.insert((entry.counter, arrival, member));
        } else {
            self.weights -= u64::from(entry.weight);
        }
        // It may have been given another since its last call.
        let weight = weight.max(1);
        entry.weight = weight;
        self.weights += u64::from(weight);
        let call = Call { id, tokens, weight };
        entry.calls.insert(arrival, call);
        self.by_length.remove(&(entry.load.calls, member));
        entry.load.add(tokens);
        self.by_length.insert((entry.load.calls, member));
        self.load.add(tokens);
        Place { member, arrival }
    }

    /// The call that goes next.
    pub(crate) fn head(&self) -> Option<usize> {
        let (_, arrival, member) = self.waiting.first()?;
        Some(self.members[*member].calls.get(arrival)?.id)
    }

    /// The newest call of the tenant with the most calls; `None` where `newcomer`, let in, would have as many.
    pub(crate) fn newest_of_the_longest(&self, newcomer: Option<&Tenant>) -> Option<usize> {
        let (calls, member) = self.by_length.last()?;
        let own = self.by_tenant.get(&newcomer.cloned());
        let own = own.map_or(0, |own| self.members[*own].load.calls);
        if own + 1 >= *calls {
            return None;
        }
        let (_, newest) = self.members[*member].calls.last_key_value()?;
        Some(newest.id)
    }

    /// Takes a call out because it was let through, and charges its tenant.
    pub(crate) fn serve(&mut self, place: Place) {
        let Some(call) = self.take(place) else {
            return;
        };
        let counter = self.members[place.member].counter;
        let charged = counter.saturating_add(share(call.tokens, call.weight));
        self.set_counter(place.member, charged);
        if self.members[place.member].calls.is_empty() {
            self.last_left = charged;
            self.rest(place.member);
        }
    }

    /// Takes a call out that no longer waits.
    pub(crate) fn remove(&mut self, place: Place) {
        if self.take(place).is_some() && self.members[place.member].calls.is_empty() {
            self.rest(place.member);
        }
    }

    /// Corrects what a tenant, of `weight` when the call came, was charged for one that reserved `from` tokens and
    /// cost `to`.
    pub(crate) fn correct(&mut self, tenant: Option<&Tenant>, weight: u32, from: u64, to: u64) {
        let Some(&member) = self.by_tenant.get(&tenant.cloned()) else {
            return;
        };
        let counter = self.members[member].counter;
        let counter = if to >= from {
            counter.saturating_add(share(to - from, weight))
        } else {
            counter.saturating_sub(share(from - to, weight))
        };
        self.set_counter(member, counter);
        if self.members[member].calls.is_empty() {
            self.forget_the_caught_up();
        }
    }

    pub(crate) const fn load(&self) -> Load {
        self.load
    }

    /// What goes before a newcomer of this tenant, forecast: all its own calls, and of the others' no more
    /// than their weights give them while its own are served.
    pub(crate) fn ahead(&self, tenant: Option<&Tenant>, weight: u32, tokens: u64) -> Load {
        let own = self
            .by_tenant
            .get(&tenant.cloned())
            .map(|member| &self.members[*member]);
        let load = own.map_or(Load::default(), |member| member.load);
        let own_weight = u64::from(weight.max(1));
        let others = match own {
            Some(member) if !member.calls.is_empty() => self.weights - u64::from(member.weight),
            _ => self.weights,
        };
        let fair = |own: u64, all: u64| {
            let others = u128::from(own) * u128::from(others) / u128::from(own_weight);
            u64::try_from(others).unwrap_or(u64::MAX).min(all)
        };
        Load {
            calls: load.calls.saturating_add(fair(
                load.calls.saturating_add(1),
                self.load.calls - load.calls,
            )),
            tokens: load.tokens.saturating_add(fair(
                load.tokens.saturating_add(tokens),
                self.load.tokens.saturating_sub(load.tokens),
            )),
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.members.len()
    }

    fn member(&mut self, tenant: Option<&Tenant>, weight: u32) -> usize {
        let tenant = tenant.cloned();
        if let Some(&member) = self.by_tenant.get(&tenant) {
            return member;
        }
        let member = self.members.insert(Member {
            tenant: tenant.clone(),
            counter: 0,
            weight: weight.max(1),
            calls: BTreeMap::new(),
            load: Load::default(),
        });
        self.by_tenant.insert(tenant, member);
        member
    }

    /// Takes a call out of its tenant's and answers it. A tenant left with none is in neither set.
    fn take(&mut self, place: Place) -> Option<Call> {
        let entry = self.members.get_mut(place.member)?;
        let (first, _) = entry.calls.first_key_value()?;
        let at_head = *first == place.arrival;
        let call = entry.calls.remove(&place.arrival)?;
        self.by_length.remove(&(entry.load.calls, place.member));
        entry.load.subtract(call.tokens);
        if entry.load.calls > 0 {
            self.by_length.insert((entry.load.calls, place.member));
        }
        self.load.subtract(call.tokens);
        if at_head {
            self.waiting
                .remove(&(entry.counter, place.arrival, place.member));
            match entry.calls.first_key_value() {
                Some((next, _)) => {
                    self.waiting.insert((entry.counter, *next, place.member));
                }
                None => self.weights -= u64::from(entry.weight),
            }
        }
        Some(call)
    }

    fn set_counter(&mut self, member: usize, counter: u128) {
        let entry = &mut self.members[member];
        if let Some((first, _)) = entry.calls.first_key_value() {
            self.waiting.remove(&(entry.counter, *first, member));
            self.waiting.insert((counter, *first, member));
        } else if self.resting.remove(&(entry.counter, member)) {
            self.resting.insert((counter, member));
        }
        entry.counter = counter;
    }

    fn rest(&mut self, member: usize) {
        self.resting.insert((self.members[member].counter, member));
        self.forget_the_caught_up();
    }

    /// A counter at or below where a newcomer's is lifted to says nothing.
    fn forget_the_caught_up(&mut self) {
        let lift = self
            .waiting
            .first()
            .map_or(self.last_left, |(counter, ..)| *counter);
        while let Some(&(counter, member)) = self.resting.first() {
            if counter > lift && self.resting.len() <= MOST_RESTING {
                break;
            }
            self.resting.pop_first();
            let member = self.members.remove(member);
            self.by_tenant.remove(&member.tenant);
        }
    }
}

/// What so many tokens add to the counter of a tenant of some weight.
fn share(tokens: u64, weight: u32) -> u128 {
    (u128::from(tokens) << SCALE) / u128::from(weight.max(1))
}

impl Load {
    const fn add(&mut self, tokens: u64) {
        self.calls += 1;
        self.tokens = self.tokens.saturating_add(tokens);
    }

    const fn subtract(&mut self, tokens: u64) {
        self.calls -= 1;
        self.tokens = self.tokens.saturating_sub(tokens);
    }
}
