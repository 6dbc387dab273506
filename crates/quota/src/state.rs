use std::task::Waker;

use tokio::time::Instant;
use tower_bedrock_core::{Priority, Tenant};

use crate::{
    Limit, Reason,
    budget::{Books, Budget, Ending, Grant, Obstacle, Refusal},
    day::DayState,
    queue::{Head, Newcomer, Queue},
    time::{Time, nanos},
};

/// Everything that is known of one quota key: its budget, and who waits for it. Pure: time is passed in,
/// and whoever is to be woken is answered.
#[derive(Debug)]
pub(crate) struct State {
    budget: Budget,
    queue: Queue<Result<Grant, Refusal>>,
    /// Whether the Region's day has been asked to tell when there is room.
    pub(crate) listed: bool,
}

/// What a call asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) tokens: u64,
    pub(crate) priority: Priority,
    pub(crate) tenant: Option<&'a Tenant>,
    pub(crate) weight: u32,
    /// The longest it may wait, in nanoseconds, where its deadline is not sooner.
    pub(crate) max_wait: u64,
    /// Its deadline, where it has one.
    pub(crate) deadline: Option<Deadline>,
    /// The time an attempt is said to need, in nanoseconds; learnt where nothing is said.
    pub(crate) attempt_time: Option<u64>,
    /// Whether it is answered when a stream begins.
    pub(crate) streaming: bool,
    /// How many of its class may wait.
    pub(crate) places: u64,
}

/// When a call is worth nothing any more. How long that is from now is reckoned only where it is asked: most calls go
/// at once, and it costs as much as the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) now: Instant,
}

/// The answer to a call that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Granted(Grant),
    Refused(Refusal),
    /// It waits, under this number.
    Waits(usize),
}

/// What happens next to those who wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) at: Time,
    /// The first one, where room in the Region's day would let it through earlier.
    pub(crate) needs_day: Option<Head>,
}

/// Whose call it was, where it waited.
#[derive(Clone, Debug)]
pub(crate) struct Waited {
    pub(crate) priority: Priority,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) weight: u32,
}

/// The wakers of everybody to be woken, once the lock is released.
pub(crate) type Wakers = Vec<Waker>;

impl State {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            queue: Queue::default(),
            listed: false,
        }
    }

    /// Lets a call through where there is room and nobody waits for it. Else it is to [`ask`](Self::ask).
    #[inline]
    pub(crate) fn grant(
        &mut self,
        tokens: u64,
        now: Time,
        day: Option<&mut DayState>,
    ) -> Option<Grant> {
        if !self.queue.is_empty() {
            return None;
        }
        let mut books = self.budget.at(now, day);
        books.fits(tokens).then(|| books.grant(tokens))
    }

    /// A call asks to be let through.
    ///
    /// Where others wait it waits too, although there may be room for it: it may be that the first of them
    /// needs that room. [`pump`](Self::pump) then finds out.
    pub(crate) fn ask(
        &mut self,
        ask: &Ask<'_>,
        now: Time,
        day: Option<&mut DayState>,
        wakers: &mut Wakers,
    ) -> Answer {
        let mut books = self.budget.at(now, day);
        let obstacle = books.obstacle(ask.tokens);
        match obstacle {
            Some(Obstacle::Never(limit)) => {
                let refusal = books.refusal(limit, ask.tokens, Reason::TooLarge, None);
                return Answer::Refused(refusal);
            }
            _ if ask.is_too_late() => {
                let limit = Limit::TokensPerMinute;
                let refusal = books.refusal(limit, ask.tokens, Reason::NoTimeLeft, None);
                return Answer::Refused(refusal);
            }
            None if self.queue.is_empty() => return Answer::Granted(books.grant(ask.tokens)),
            _ => {}
        }
        let patience = ask.patience(books.attempt_time(ask.streaming));
        let newcomer = ask.newcomer(books.now(), patience);
        let (limit, wait) = forecast(&books, &self.queue, newcomer, obstacle);
        let refusal = |tokens, reason| Refusal {
            ..books.refusal(limit, tokens, reason, Some(wait))
        };
        if wait > patience {
            return Answer::Refused(refusal(ask.tokens, Reason::WaitTooLong));
        }
        if self.queue.waiting_of(ask.priority) >= ask.places {
            let Some(id) = self.queue.makes_way(newcomer) else {
                return Answer::Refused(refusal(ask.tokens, Reason::TooManyWaiting));
            };
            let tokens = self.queue.tokens(id).unwrap_or_default();
            let refusal = refusal(tokens, Reason::TooManyWaiting);
            wakers.extend(self.queue.refuse(id, Err(refusal)));
        }
        Answer::Waits(self.queue.push(newcomer))
    }

    /// Lets through whoever can be, turns away whose patience has ended, and answers what happens next;
    /// `None` where nobody waits.
    #[inline]
    pub(crate) fn pump(
        &mut self,
        now: Time,
        day: Option<&mut DayState>,
        wakers: &mut Wakers,
    ) -> Option<Next> {
        if self.queue.is_empty() {
            return None;
        }
        let mut books = self.budget.at(now, day);
        let now = books.now();
        // Who should have given up before now is too late for room there may be; who gives up just now is not.
        give_up(&books, &mut self.queue, wakers, |at| at < now);
        loop {
            let (limit, opens, head) = loop {
                let head = self.queue.head()?;
                match books.obstacle(head.tokens) {
                    None => {
                        let grant = books.grant_on_hold(head.tokens);
                        wakers.extend(self.queue.serve(head.id, Ok(grant)));
                    }
                    // The limit was lowered while it waited.
                    Some(Obstacle::Never(limit)) => {
                        let refusal = books.refusal(limit, head.tokens, Reason::TooLarge, None);
                        wakers.extend(self.queue.refuse(head.id, Err(refusal)));
                    }
                    Some(Obstacle::Until(limit, opens)) => {
                        // A fleet tells that the day is used up when calls wait for it already.
                        let Some(wait) = books.day_used_up(limit, head.tokens, head.gives_up)
                        else {
                            break (limit, opens, head);
                        };
                        let reason = Reason::WaitTooLong;
                        let refusal = books.refusal(limit, head.tokens, reason, Some(wait));
                        wakers.extend(self.queue.refuse(head.id, Err(refusal)));
                    }
                }
            };
            // It may have been the head that gave up, and the next one may fit.
            if !give_up(&books, &mut self.queue, wakers, |at| at <= now) {
                let gives_up = self.queue.first_to_give_up().map_or(opens, |(at, _)| at);
                // What opens now is no obstacle: whoever keeps the timer would look again at once, for ever.
                debug_assert!(opens > now, "{limit} opens now, and has no room");
                return Some(Next {
                    at: opens.min(gives_up).max(now.plus(1)),
                    needs_day: (limit == Limit::TokensPerDay).then_some(head),
                });
            }
        }
    }

    /// A call that was granted has ended. `waited` says whose it was, where it waited.
    #[inline]
    pub(crate) fn end(
        &mut self,
        grant: &Grant,
        waited: Option<&Waited>,
        ending: Ending,
        now: Time,
        day: Option<&mut DayState>,
    ) {
        self.budget.at(now, day).end(grant, ending);
        if let Some(waited) = waited {
            let cost = ending.cost(grant.tokens);
            let Waited {
                priority,
                tenant,
                weight,
            } = waited;
            self.queue
                .correct(*priority, tenant.as_ref(), *weight, grant.tokens, cost);
        }
    }

    /// Why such a call would have to wait that leaves a share of every limit to others; `None` where it would not.
    pub(crate) fn wait(
        &mut self,
        ask: &Ask<'_>,
        share: f64,
        now: Time,
        day: Option<&mut DayState>,
    ) -> Option<Refusal> {
        let books = self.budget.at(now, day).leaving(share);
        match books.obstacle(ask.tokens) {
            Some(Obstacle::Never(limit)) => {
                Some(books.refusal(limit, ask.tokens, Reason::TooLarge, None))
            }
            None if self.queue.is_empty() => None,
            obstacle => {
                let newcomer = ask.newcomer(books.now(), ask.max_wait);
                let (limit, wait) = forecast(&books, &self.queue, newcomer, obstacle);
                let refusal = || books.refusal(limit, ask.tokens, Reason::WaitTooLong, Some(wait));
                (wait > 0).then(refusal)
            }
        }
    }

    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) const fn budget_mut(&mut self) -> &mut Budget {
        &mut self.budget
    }

    pub(crate) const fn queue(&self) -> &Queue<Result<Grant, Refusal>> {
        &self.queue
    }

    pub(crate) const fn queue_mut(&mut self) -> &mut Queue<Result<Grant, Refusal>> {
        &mut self.queue
    }
}

impl<'a> Ask<'a> {
    /// Whether no attempt can be over by the deadline, not even one that starts now. What attempts usually
    /// take is no proof of that, so only what was said counts.
    fn is_too_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| deadline.is_too_near(self.attempt_time))
    }

    /// The longest it can wait, in nanoseconds, so that the time for an attempt is left before its deadline.
    fn patience(&self, learnt: u64) -> u64 {
        let needs = self.attempt_time.unwrap_or(learnt);
        self.deadline.map_or(self.max_wait, |deadline| {
            self.max_wait
                .min(deadline.time_left().saturating_sub(needs))
        })
    }

    fn newcomer(&self, now: Time, patience: u64) -> Newcomer<'a> {
        Newcomer {
            priority: self.priority,
            tenant: self.tenant,
            weight: self.weight,
            tokens: self.tokens,
            since: now,
            gives_up: (patience < u64::MAX).then(|| now.plus(patience)),
        }
    }
}

impl Deadline {
    /// Whether it leaves no time at all, or less than an attempt is said to need.
    #[inline]
    pub(crate) fn is_too_near(&self, attempt_time: Option<u64>) -> bool {
        self.at <= self.now || attempt_time.is_some_and(|needs| self.time_left() < needs)
    }

    /// In nanoseconds.
    fn time_left(&self) -> u64 {
        nanos(self.at.saturating_duration_since(self.now))
    }
}

/// How long a newcomer would wait, in nanoseconds, and for which limit.
fn forecast(
    books: &Books<'_>,
    queue: &Queue<Result<Grant, Refusal>>,
    newcomer: Newcomer<'_>,
    obstacle: Option<Obstacle>,
) -> (Limit, u64) {
    let ahead = queue.ahead(newcomer);
    let (limit, wait) = books.forecast(ahead, newcomer.tokens);
    // Who would go first and has room does not wait.
    let at_once = obstacle.is_none() && ahead.calls == 0;
    (limit, if at_once { 0 } else { wait })
}

/// Turns away whose patience has ended, and answers whether there were any.
fn give_up(
    books: &Books<'_>,
    queue: &mut Queue<Result<Grant, Refusal>>,
    wakers: &mut Wakers,
    ended: impl Fn(Time) -> bool,
) -> bool {
    let mut any = false;
    while let Some((at, id)) = queue.first_to_give_up() {
        if !ended(at) {
            break;
        }
        let refusal = ran_out(books, queue.tokens(id).unwrap_or_default());
        wakers.extend(queue.refuse(id, Err(refusal)));
        any = true;
    }
    any
}

/// A call has waited for as long as it could.
fn ran_out(books: &Books<'_>, tokens: u64) -> Refusal {
    let (limit, wait) = match books.obstacle(tokens) {
        Some(Obstacle::Until(limit, opens)) => (limit, opens.since(books.now())),
        Some(Obstacle::Never(limit)) => {
            return books.refusal(limit, tokens, Reason::TooLarge, None);
        }
        // There is room, and others to have it first.
        None => (Limit::TokensPerMinute, 0),
    };
    books.refusal(limit, tokens, Reason::WaitTooLong, Some(wait))
}
