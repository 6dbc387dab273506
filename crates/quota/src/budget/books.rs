use super::{Budget, Ending, Grant, MINUTE, Settlement, returns::Returns};
use crate::{
    Limit, Reason,
    day::{DAY, DayState},
    meter::{Meter, Ticket},
    queue::Load,
    time::Time,
};

/// A budget at one moment, together with the tokens a day of its Region where there are any, so that one
/// step takes all limits or none.
#[derive(Debug)]
pub(crate) struct Books<'a> {
    own: &'a mut Budget,
    day: Option<&'a mut DayState>,
    now: Time,
    left: Left,
}

/// What a call is to leave of each limit to others: it needs room for itself and this.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    requests: u64,
    tokens: u64,
    day: u64,
}

/// What stands in a call's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It asks for more than a whole limit.
    Never(Limit),
    /// It would fit then, were it the next and nothing given back.
    Until(Limit, Time),
}

/// Why a call was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) limit: Limit,
    pub(crate) asked: u64,
    pub(crate) available: u64,
    pub(crate) reason: Reason,
    /// Nanoseconds until it is worth coming back.
    pub(crate) retry_after: Option<u64>,
}

/// A millisecond: the least a wait is said to be. Something is in the way, so it is never no time at all.
const LEAST_WAIT: u64 = 1_000_000;

impl<'a> Books<'a> {
    pub(super) fn new(own: &'a mut Budget, day: Option<&'a mut DayState>, now: Time) -> Self {
        Self {
            own,
            day,
            now,
            left: Left::default(),
        }
    }

    /// The same for a call that leaves a share of every limit to others.
    pub(crate) fn leaving(mut self, share: f64) -> Self {
        self.left = Left {
            requests: self.own.requests.part(share),
            tokens: self.own.tokens.part(share),
            day: self.day.as_ref().map_or(0, |day| day.part(share)),
        };
        self
    }

    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    /// What a call's deadline must leave when its wait is over, in nanoseconds.
    pub(crate) fn attempt_time(&self, streaming: bool) -> u64 {
        self.own.attempts.nearly_all(streaming)
    }

    /// Whether nothing is in the way of a call, were it the next.
    #[inline]
    pub(crate) fn fits(&self, tokens: u64) -> bool {
        let (requests, of_minute, of_day) = self.left.and(1, tokens);
        let Self { own, day, now, .. } = self;
        own.requests.fits(requests)
            && own.tokens.fits(of_minute)
            && day.as_ref().is_none_or(|day| day.fits(*now, of_day))
    }

    /// The last thing to get out of the way of a call, were it the next.
    pub(crate) fn obstacle(&self, tokens: u64) -> Option<Obstacle> {
        if self.fits(tokens) {
            return None;
        }
        let (requests, of_minute, of_day) = self.left.and(1, tokens);
        let Self { own, day, now, .. } = self;
        if requests > own.requests.most() {
            return Some(Obstacle::Never(Limit::RequestsPerMinute));
        }
        if of_minute > own.tokens.most() {
            return Some(Obstacle::Never(Limit::TokensPerMinute));
        }
        if day.as_ref().is_some_and(|day| of_day > day.most()) {
            return Some(Obstacle::Never(Limit::TokensPerDay));
        }
        let (limit, at) = last(
            own.requests.opens_at(*now, requests),
            own.tokens.opens_at(*now, of_minute),
            day.as_ref().map(|day| day.opens_at(*now, of_day)),
        );
        Some(Obstacle::Until(limit, at))
    }

    /// Charges a call for which there is no obstacle, and which is sent now.
    #[inline]
    pub(crate) fn grant(&mut self, tokens: u64) -> Grant {
        self.take_off(tokens, |meter, now, amount| meter.charge(now, amount))
    }

    /// Charges a call for which there is no obstacle, and which is sent later.
    pub(crate) fn grant_on_hold(&mut self, tokens: u64) -> Grant {
        self.take_off(tokens, Meter::hold)
    }

    #[inline]
    fn take_off(&mut self, tokens: u64, charge: impl Fn(&mut Meter, Time, u64) -> Ticket) -> Grant {
        let Self { own, day, now, .. } = self;
        own.granted += 1;
        own.in_flight.calls += 1;
        own.in_flight.tokens = own.in_flight.tokens.saturating_add(tokens);
        Grant {
            tokens,
            sent: *now,
            requests: charge(&mut own.requests, *now, 1),
            own_tokens: charge(&mut own.tokens, *now, tokens),
            day_tokens: day.as_mut().map(|day| {
                day.let_through(*now, tokens);
                charge(day.meter_mut(), *now, tokens)
            }),
        }
    }

    /// A call that was granted to be sent at once is not, because what it waits for next takes time. It
    /// counts until it is sent, and for a period from then.
    pub(crate) fn put_on_hold(&mut self, grant: &mut Grant) {
        self.each(grant, Meter::put_on_hold);
    }

    /// A call that was granted is sent now.
    pub(crate) fn send(&mut self, grant: &mut Grant) {
        if grant.is_on_hold() {
            grant.sent = self.now;
        }
        self.each(grant, Meter::send);
    }

    #[inline]
    fn each(&mut self, grant: &mut Grant, step: impl Fn(&mut Meter, Time, &mut Ticket, u64)) {
        let Self { own, day, now, .. } = self;
        step(&mut own.requests, *now, &mut grant.requests, 1);
        step(&mut own.tokens, *now, &mut grant.own_tokens, grant.tokens);
        if let (Some(day), Some(ticket)) = (day, &mut grant.day_tokens) {
            step(day.meter_mut(), *now, ticket, grant.tokens);
        }
    }

    /// A call that was granted has ended.
    #[inline]
    pub(crate) fn end(&mut self, grant: &Grant, ending: Ending) {
        let mut sent;
        let mut grant = grant;
        // Nothing was used by a call that was not sent.
        if grant.is_on_hold() && matches!(ending, Ending::Settled(_) | Ending::Kept) {
            sent = *grant;
            self.each(&mut sent, Meter::send);
            grant = &sent;
        }
        self.own.in_flight.calls = self.own.in_flight.calls.saturating_sub(1);
        self.own.in_flight.tokens = self.own.in_flight.tokens.saturating_sub(grant.tokens);
        if let (Some(day), Some(_)) = (&mut self.day, grant.day_tokens) {
            day.ended(grant.tokens, ending.cost(grant.tokens));
        }
        match ending {
            Ending::Settled(settlement) => self.settle(grant, settlement),
            Ending::Kept => {}
            Ending::Refunded => self.refund(grant),
            Ending::Throttled(kind) => {
                // Taught before the refund, while what was in use when Bedrock refused still shows.
                if let Some((meter, amount)) = self.own.taught_by(kind, grant.tokens) {
                    meter.throttled(amount, grant.sent, self.now);
                }
                self.refund(grant);
            }
        }
    }

    /// How long a call would wait behind those ahead of it, in nanoseconds, and for which limit. Each of
    /// those counts at what calls cost in the end.
    pub(crate) fn forecast(&self, ahead: Load, tokens: u64) -> (Limit, u64) {
        let Self { own, day, now, .. } = self;
        let in_flight = own.in_flight.tokens as f64;
        let share = own.settled.share();
        // Calls in flight may cost more in the end than they reserved.
        let more = in_flight * (share - 1.0).max(0.0);
        let wanted = tokens.saturating_add((ahead.tokens as f64 * share + more) as u64);
        let (requests, of_minute, of_day) = self.left.and(ahead.calls.saturating_add(1), wanted);
        let returns = Returns {
            tokens: in_flight * (1.0 - share).max(0.0),
            over: own.attempts.lasts(),
        };
        let (limit, at) = last(
            own.requests.forecast(*now, requests),
            returns.soonest(*now, MINUTE, of_minute, own.tokens.available(), |tokens| {
                own.tokens.forecast(*now, tokens)
            }),
            day.as_ref().map(|day| {
                let available = day.available(*now);
                returns.soonest(*now, DAY, of_day, available, |tokens| {
                    day.forecast(*now, tokens)
                })
            }),
        );
        (limit, at.since(*now).max(LEAST_WAIT))
    }

    /// How long a call would wait, in nanoseconds, for which it is known that the day will not have room before it gives
    /// up.
    pub(crate) fn day_used_up(
        &self,
        limit: Limit,
        tokens: u64,
        gives_up: Option<Time>,
    ) -> Option<u64> {
        let opens = match limit {
            Limit::TokensPerDay => self.day.as_ref()?.told(tokens)?,
            _ => return None,
        };
        let (_, wait) = self.forecast(Load::default(), tokens);
        (opens > self.now && self.now.plus(wait) > gives_up?).then_some(wait)
    }

    pub(crate) fn refusal(
        &self,
        limit: Limit,
        tokens: u64,
        reason: Reason,
        retry_after: Option<u64>,
    ) -> Refusal {
        let (asked, available) = match limit {
            Limit::RequestsPerMinute => (1, self.own.requests.available()),
            Limit::TokensPerMinute => (tokens, self.own.tokens.available()),
            Limit::TokensPerDay => {
                let day = self.day.as_ref();
                (tokens, day.map_or(u64::MAX, |day| day.available(self.now)))
            }
        };
        Refusal {
            limit,
            asked,
            available,
            reason,
            retry_after,
        }
    }

    #[inline]
    fn settle(&mut self, grant: &Grant, settlement: Settlement) {
        let now = self.now;
        let cost = settlement.cost;
        let overshoot = settlement.overshoot(grant);
        let unused = grant.tokens.saturating_sub(cost - overshoot);
        let settle = |meter: &mut Meter, ticket| {
            if unused > 0 {
                meter.give_back(ticket, unused);
            }
            if overshoot > 0 {
                meter.owe(now, overshoot);
            }
            meter.succeeded(ticket, cost, now);
        };
        self.own.requests.succeeded(grant.requests, 1, now);
        settle(&mut self.own.tokens, grant.own_tokens);
        if let Some(day) = &mut self.day {
            if let Some(ticket) = grant.day_tokens {
                settle(day.meter_mut(), ticket);
            }
            day.succeeded(grant.sent);
        }
        self.own.settled.add(grant.tokens, cost);
        let answered = settlement.answered;
        self.own.attempts.answered(answered, grant.sent, now);
    }

    fn refund(&mut self, grant: &Grant) {
        self.own.requests.give_back(grant.requests, 1);
        self.own.tokens.give_back(grant.own_tokens, grant.tokens);
        if let (Some(day), Some(ticket)) = (&mut self.day, grant.day_tokens) {
            day.meter_mut().give_back(ticket, grant.tokens);
        }
    }
}

impl Left {
    /// What so many calls, and tokens, need room for: requests, tokens a minute and tokens a day.
    #[inline]
    const fn and(self, calls: u64, tokens: u64) -> (u64, u64, u64) {
        (
            self.requests.saturating_add(calls),
            self.tokens.saturating_add(tokens),
            self.day.saturating_add(tokens),
        )
    }
}

/// The last of three moments, and the limit it belongs to. Tokens stand for both where it is a tie.
fn last(requests: Time, tokens: Time, day: Option<Time>) -> (Limit, Time) {
    let minute = if requests > tokens {
        (Limit::RequestsPerMinute, requests)
    } else {
        (Limit::TokensPerMinute, tokens)
    };
    match day {
        Some(day) if day > minute.1 => (Limit::TokensPerDay, day),
        _ => minute,
    }
}
