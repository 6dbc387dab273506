//! The calls that wait for one key: who goes next, who gives up when, and whose task keeps the timer.

mod fair;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, task::Waker};

use slab::Slab;
use tower_bedrock_core::{Priority, Tenant};

pub(crate) use self::fair::Load;
use self::fair::{Fair, Place};
use crate::time::Time;

/// The calls that wait for one key.
///
/// Order: the more urgent class, then the tenant that was served least, then arrival. The call at the head
/// is never passed by, so a large one is not starved.
///
/// There is one timer for all of them and no task of its own to keep it. One of the waiting calls, the
/// *timekeeper*, sleeps until the next thing happens; whatever changes that moment, or leaves the role
/// without a holder, yields the waker of whoever must (re)set the timer.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiters: Slab<Waiter<T>>,
    classes: [Fair; Priority::ALL.len()],
    give_up: BTreeSet<(Time, usize)>,
    arrivals: u64,
    waiting: usize,
    timekeeper: Option<Timekeeper>,
}

/// A call that waits, or has waited and not been told yet.
#[derive(Debug)]
struct Waiter<T> {
    waker: Option<Waker>,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Waiting(Standing),
    Done(T),
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    class: usize,
    place: Place,
    tokens: u64,
    since: Time,
    gives_up: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Timekeeper {
    id: usize,
    /// What the timer is set to; `None` until the timekeeper has been polled.
    until: Option<Time>,
}

/// A call that wants to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newcomer<'a> {
    pub(crate) priority: Priority,
    pub(crate) tenant: Option<&'a Tenant>,
    pub(crate) weight: u32,
    pub(crate) tokens: u64,
    pub(crate) since: Time,
    pub(crate) gives_up: Option<Time>,
}

/// The call that goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: usize,
    pub(crate) tokens: u64,
    /// When it began to wait.
    pub(crate) since: Time,
    pub(crate) gives_up: Option<Time>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiters: Slab::new(),
            classes: Default::default(),
            give_up: BTreeSet::new(),
            arrivals: 0,
            waiting: 0,
            timekeeper: None,
        }
    }
}

impl<T> Queue<T> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many wait, by class.
    pub(crate) fn waiting_by_class(&self) -> [u64; Priority::ALL.len()] {
        std::array::from_fn(|class| self.classes[class].load().calls)
    }

    /// All that wait.
    #[cfg(feature = "redis")]
    pub(crate) fn load(&self) -> Load {
        let classes = self.classes.iter().map(Fair::load);
        classes.fold(Load::default(), |sum, class| Load {
            calls: sum.calls.saturating_add(class.calls),
            tokens: sum.tokens.saturating_add(class.tokens),
        })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.waiting
    }

    /// How many of a class wait.
    pub(crate) fn waiting_of(&self, priority: Priority) -> u64 {
        self.classes[class(priority)].load().calls
    }

    /// The call that has to make way for a newcomer where its class has no room: the newest one of the
    /// tenant with the most calls there. `None` where the newcomer's own would have as many: who came
    /// earlier stays.
    pub(crate) fn makes_way(&self, newcomer: Newcomer<'_>) -> Option<usize> {
        self.classes[class(newcomer.priority)].newest_of_the_longest(newcomer.tenant)
    }

    /// Adds a call to those that wait.
    pub(crate) fn push(&mut self, newcomer: Newcomer<'_>) -> usize {
        let id = self.waiters.vacant_key();
        let class = class(newcomer.priority);
        let place = self.classes[class].push(
            newcomer.tenant,
            newcomer.weight,
            self.arrivals,
            id,
            newcomer.tokens,
        );
        self.arrivals += 1;
        self.waiting += 1;
        if let Some(at) = newcomer.gives_up {
            self.give_up.insert((at, id));
        }
        self.waiters.insert(Waiter {
            waker: None,
            state: State::Waiting(Standing {
                class,
                place,
                tokens: newcomer.tokens,
                since: newcomer.since,
                gives_up: newcomer.gives_up,
            }),
        })
    }

    /// What goes before a newcomer, forecast.
    pub(crate) fn ahead(&self, newcomer: Newcomer<'_>) -> Load {
        let class = class(newcomer.priority);
        let own = self.classes[class].ahead(newcomer.tenant, newcomer.weight, newcomer.tokens);
        self.classes[..class].iter().fold(own, |sum, class| Load {
            calls: sum.calls.saturating_add(class.load().calls),
            tokens: sum.tokens.saturating_add(class.load().tokens),
        })
    }

    /// The call that goes next.
    pub(crate) fn head(&self) -> Option<Head> {
        let id = self.classes.iter().find_map(Fair::head)?;
        match self.waiters.get(id)?.state {
            State::Waiting(standing) => Some(Head {
                id,
                tokens: standing.tokens,
                since: standing.since,
                gives_up: standing.gives_up,
            }),
            State::Done(_) => None,
        }
    }

    /// Lets a waiting call through, and answers its waker.
    pub(crate) fn serve(&mut self, id: usize, outcome: T) -> Option<Waker> {
        let standing = self.leave(id)?;
        self.classes[standing.class].serve(standing.place);
        self.finish(id, outcome)
    }

    /// Turns a waiting call away, and answers its waker.
    pub(crate) fn refuse(&mut self, id: usize, outcome: T) -> Option<Waker> {
        let standing = self.leave(id)?;
        self.classes[standing.class].remove(standing.place);
        self.finish(id, outcome)
    }

    /// The call whose patience ends first, and when.
    pub(crate) fn first_to_give_up(&self) -> Option<(Time, usize)> {
        self.give_up.first().copied()
    }

    /// The tokens a waiting call asked for.
    pub(crate) fn tokens(&self, id: usize) -> Option<u64> {
        match self.waiters.get(id)?.state {
            State::Waiting(standing) => Some(standing.tokens),
            State::Done(_) => None,
        }
    }

    /// Takes the outcome of a call that no longer waits, and forgets the call.
    pub(crate) fn take(&mut self, id: usize) -> Option<T> {
        match self.waiters.get(id)?.state {
            State::Waiting(_) => None,
            State::Done(_) => match self.waiters.remove(id).state {
                State::Done(outcome) => Some(outcome),
                State::Waiting(_) => None,
            },
        }
    }

    /// Takes out a call whose future was dropped, and answers its outcome where it had one already.
    pub(crate) fn cancel(&mut self, id: usize) -> Option<T> {
        if let Some(standing) = self.leave(id) {
            self.classes[standing.class].remove(standing.place);
        }
        match self.waiters.try_remove(id)?.state {
            State::Done(outcome) => Some(outcome),
            State::Waiting(_) => None,
        }
    }

    /// Corrects what a tenant was charged for a call that waited.
    pub(crate) fn correct(
        &mut self,
        priority: Priority,
        tenant: Option<&Tenant>,
        weight: u32,
        from: u64,
        to: u64,
    ) {
        self.classes[class(priority)].correct(tenant, weight, from, to);
    }

    /// A waiting call was polled, and the next thing happens at `next`. Answers whether it is to keep the
    /// timer: where it did already, where nobody does, or where whoever does has not set it, has set it too
    /// late, or has not come although it rang.
    pub(crate) fn polled(&mut self, id: usize, waker: &Waker, now: Time, next: Time) -> bool {
        let Some(waiter) = self.waiters.get_mut(id) else {
            return false;
        };
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        let keeps = self.timekeeper.is_none_or(|keeper| {
            keeper.id == id || keeper.until.is_none_or(|at| at > next || at < now)
        });
        if keeps {
            self.timekeeper = Some(Timekeeper {
                id,
                until: Some(next),
            });
        }
        keeps
    }

    /// The next thing happens at `next`. Answers the waker of whoever must set the timer for it; `None`
    /// where the timer is right or somebody has been woken for it already.
    pub(crate) fn set_timer(&mut self, next: Time) -> Option<Waker> {
        let id = match self.timekeeper {
            Some(keeper) if keeper.until.is_none_or(|at| at <= next) => return None,
            Some(keeper) => keeper.id,
            None => self.head()?.id,
        };
        self.timekeeper = Some(Timekeeper { id, until: None });
        self.waiters.get(id)?.waker.clone()
    }

    /// Takes a call out of the order and the timetable; `None` where it does not wait.
    fn leave(&mut self, id: usize) -> Option<Standing> {
        let State::Waiting(standing) = self.waiters.get(id)?.state else {
            return None;
        };
        self.waiting -= 1;
        if let Some(at) = standing.gives_up {
            self.give_up.remove(&(at, id));
        }
        if self.timekeeper.is_some_and(|keeper| keeper.id == id) {
            self.timekeeper = None;
        }
        Some(standing)
    }

    fn finish(&mut self, id: usize, outcome: T) -> Option<Waker> {
        let waiter = self.waiters.get_mut(id)?;
        waiter.state = State::Done(outcome);
        waiter.waker.take()
    }
}

const fn class(priority: Priority) -> usize {
    match priority {
        Priority::Interactive => 0,
        Priority::Normal => 1,
        Priority::Batch => 2,
    }
}
