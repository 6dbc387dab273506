//! What one quota key may use, and uses.

mod books;
mod returns;
mod settled;

use tower_bedrock_core::FaultKind;

pub(crate) use self::books::{Books, Obstacle, Refusal};
use self::settled::Settled;
use crate::{
    Limits,
    attempt::{Answered, AttemptTimes},
    config::Config,
    day::DayState,
    meter::{Meter, Rules, Ticket},
    queue::Load,
    time::Time,
};

/// What one quota key may use, and uses.
#[derive(Debug)]
pub(crate) struct Budget {
    now: Time,
    requests: Meter,
    tokens: Meter,
    in_flight: Load,
    settled: Settled,
    attempts: AttemptTimes,
    /// Calls let through since the beginning.
    granted: u64,
}

/// What a call reserved, and where it was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) tokens: u64,
    /// When it was sent, as far as is known: learning tells old throttles from new by it.
    pub(crate) sent: Time,
    requests: Ticket,
    own_tokens: Ticket,
    day_tokens: Option<Ticket>,
}

impl Grant {
    const fn is_on_hold(&self) -> bool {
        self.requests.is_on_hold()
            || self.own_tokens.is_on_hold()
            || matches!(&self.day_tokens, Some(ticket) if ticket.is_on_hold())
    }
}

/// How a call that was granted ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was answered, and Bedrock's own count is known.
    Settled(Settlement),
    /// Nobody knows what it cost: what it reserved stays charged.
    Kept,
    /// It cost nothing: it was not sent, or refused.
    Refunded,
    /// It cost nothing: it was throttled.
    Throttled(FaultKind),
}

/// What Bedrock counted for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// What it deducted when the call started. It may be less than was reserved for it here.
    pub(crate) reserved: u64,
    /// What it charged in the end.
    pub(crate) cost: u64,
    pub(crate) answered: Answered,
}

const MINUTE: u64 = 60_000_000_000;

impl Budget {
    pub(crate) fn new(limits: &Limits, config: &Config) -> Self {
        let rules = Rules {
            period: MINUTE,
            delay_variation: config.delay_variation_of_a_minute(),
            learns: config.learns,
        };
        let meter = |declared| Meter::new(declared, limits.window(), rules);
        Self {
            now: Time::ZERO,
            requests: meter(limits.requests_per_minute()),
            tokens: meter(limits.tokens_per_minute()),
            in_flight: Load::default(),
            settled: Settled::default(),
            attempts: AttemptTimes::default(),
            granted: 0,
        }
    }

    /// Changes the limits; what is in use stays so.
    pub(crate) fn declare(&mut self, limits: &Limits, now: Time) {
        self.now = self.now.max(now);
        let window = limits.window();
        self.requests
            .declare(limits.requests_per_minute(), window, self.now);
        self.tokens
            .declare(limits.tokens_per_minute(), window, self.now);
    }

    /// Brings everything up to `now`, or to the latest moment seen where that is later: threads that read
    /// the clock one after another may come here the other way round.
    #[inline]
    pub(crate) fn at<'a>(&'a mut self, now: Time, mut day: Option<&'a mut DayState>) -> Books<'a> {
        if now > self.now {
            self.now = now;
            self.requests.advance(now);
            self.tokens.advance(now);
        }
        let now = self.now;
        if let Some(day) = &mut day {
            day.advance(now);
        }
        Books::new(self, day, now)
    }

    /// The latest moment seen.
    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    pub(crate) const fn requests(&self) -> &Meter {
        &self.requests
    }

    pub(crate) const fn tokens(&self) -> &Meter {
        &self.tokens
    }

    pub(crate) const fn in_flight(&self) -> Load {
        self.in_flight
    }

    /// Whether it matters when exactly a call ended so: where something is charged, learnt, or timed.
    #[inline]
    pub(crate) fn depends_on_when(&self, grant: &Grant, ending: Ending) -> bool {
        let learning = || self.requests.is_learning() || self.tokens.is_learning();
        match ending {
            Ending::Settled(settlement) => {
                settlement.overshoot(grant) > 0
                    || grant.is_on_hold()
                    || self.attempts.needs_clock(settlement.answered)
                    || learning()
            }
            Ending::Throttled(_) => true,
            Ending::Kept => grant.is_on_hold(),
            Ending::Refunded => false,
        }
    }

    /// Whether nothing would be lost by forgetting it but what was learnt.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.calls == 0 && self.requests.is_idle() && self.tokens.is_idle()
    }

    /// The limit that a throttle teaches, and what the call asked of it. One that does not say which quota teaches
    /// the limit that is used up the furthest here, or requests where no limit is known: every call counts one
    /// there.
    fn taught_by(&mut self, kind: FaultKind, tokens: u64) -> Option<(&mut Meter, u64)> {
        match kind {
            FaultKind::ThrottledRequests => Some((&mut self.requests, 1)),
            FaultKind::ThrottledTokens => Some((&mut self.tokens, tokens)),
            FaultKind::Throttled if self.tokens.fullness() > self.requests.fullness() => {
                Some((&mut self.tokens, tokens))
            }
            FaultKind::Throttled => Some((&mut self.requests, 1)),
            _ => None,
        }
    }
}

#[cfg(feature = "redis")]
impl Budget {
    /// Requests and tokens a minute.
    pub(crate) const fn meters(&self) -> [&Meter; 2] {
        [&self.requests, &self.tokens]
    }

    pub(crate) const fn meters_mut(&mut self) -> [&mut Meter; 2] {
        [&mut self.requests, &mut self.tokens]
    }

    /// How many calls one caller makes in a minute that makes one after the other; as many as can be where nothing is
    /// known of how long they last.
    pub(crate) fn turns(&self) -> u64 {
        // `as` saturates, for no time at all too.
        (MINUTE as f64 / self.attempts.lasts()).max(1.0) as u64
    }

    /// Calls let through since the beginning.
    pub(crate) const fn granted(&self) -> u64 {
        self.granted
    }
}

impl Ending {
    /// What it leaves charged of what was reserved.
    #[inline]
    pub(crate) const fn cost(self, reserved: u64) -> u64 {
        match self {
            Self::Settled(settlement) => settlement.cost,
            Self::Kept => reserved,
            Self::Refunded | Self::Throttled(_) => 0,
        }
    }
}

impl Settlement {
    /// What Bedrock charged when the call ended, beyond what it had deducted when it started. An input that
    /// was estimated too high was not in use there, and must not leave the window here for what was.
    #[inline]
    fn overshoot(self, grant: &Grant) -> u64 {
        self.cost.saturating_sub(self.reserved.min(grant.tokens))
    }
}
