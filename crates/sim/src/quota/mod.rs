//! Quotas, and who uses them up.
//!
//! The arithmetic is the simulator's own on purpose: a client-side limiter checked against it shares no
//! mistake with it.

mod background;
mod bucket;
mod fixed;
mod limit;
mod sliding;
#[cfg(test)]
mod tests;
mod window;

use tokio::time::Duration;

pub use self::background::BackgroundCaller;
pub(crate) use self::{background::Background, limit::Limit, window::Taken};
use crate::{ModelSettings, QuotaLevels, ServiceError, WindowShape};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The quotas of one base model, called in one way, in one Region.
#[derive(Debug)]
pub(crate) struct Quota {
    requests: Limit,
    tokens: Limit,
    day: Limit,
}

/// What a call holds of its quotas until it is settled.
#[derive(Debug)]
pub(crate) struct Reservation {
    tokens: Option<Taken>,
    day: Option<Taken>,
    region_day: Option<Taken>,
}

impl Quota {
    /// Nothing is limited.
    pub(crate) const fn new() -> Self {
        Self {
            requests: Limit::per(MINUTE, WindowShape::Sliding),
            tokens: Limit::per(MINUTE, WindowShape::Sliding),
            day: day_limit(),
        }
    }

    pub(crate) fn set(&mut self, settings: &ModelSettings, now: Duration) {
        if let Some(shape) = settings.window {
            self.requests.set_shape(shape, now);
            self.tokens.set_shape(shape, now);
        }
        let limits = [
            (&mut self.requests, settings.requests_per_minute),
            (&mut self.tokens, settings.tokens_per_minute),
            (&mut self.day, settings.tokens_per_day),
        ];
        for (limit, setting) in limits {
            if let Some(value) = setting {
                limit.set(value, now);
            }
        }
    }

    /// Takes what there is room for, of what a background caller comes for.
    pub(crate) fn take_background(
        &mut self,
        region_day: &mut Limit,
        now: Duration,
        asked: u64,
        tokens: u64,
    ) {
        let requests = asked.min(self.requests.room(now));
        // A request that is turned away brings no tokens.
        let tokens = u128::from(tokens) * u128::from(requests) / u128::from(asked.max(1));
        let tokens = u64::try_from(tokens)
            .unwrap_or(u64::MAX)
            .min(self.tokens.room(now))
            .min(self.day.room(now))
            .min(region_day.room(now));
        self.requests.take(now, requests);
        self.tokens.take(now, tokens);
        self.day.take(now, tokens);
        region_day.take(now, tokens);
    }

    /// Takes a request and its tokens from every limit, or nothing from any.
    ///
    /// # Errors
    ///
    /// The error of the first limit without room: requests a minute, tokens a minute, tokens a day.
    pub(crate) fn reserve(
        &mut self,
        region_day: &mut Limit,
        now: Duration,
        tokens: u64,
    ) -> Result<Reservation, ServiceError> {
        if self.requests.room(now) < 1 {
            return Err(ServiceError::too_many_requests());
        }
        if self.tokens.room(now) < tokens {
            return Err(ServiceError::too_many_tokens());
        }
        if self.day.room(now) < tokens || region_day.room(now) < tokens {
            return Err(ServiceError::too_many_tokens_per_day());
        }
        self.requests.take(now, 1);
        Ok(Reservation {
            tokens: self.tokens.take(now, tokens),
            day: self.day.take(now, tokens),
            region_day: region_day.take(now, tokens),
        })
    }

    /// A request that was admitted stays one; its tokens become what it cost.
    pub(crate) fn settle(
        &mut self,
        region_day: &mut Limit,
        now: Duration,
        reservation: &Reservation,
        tokens: u64,
    ) {
        self.tokens.settle(now, reservation.tokens, tokens);
        self.day.settle(now, reservation.day, tokens);
        region_day.settle(now, reservation.region_day, tokens);
    }

    pub(crate) fn levels(&mut self, region_day: &mut Limit, now: Duration) -> QuotaLevels {
        QuotaLevels {
            requests_per_minute: self.requests.level(now),
            tokens_per_minute: self.tokens.level(now),
            tokens_per_day: self.day.level(now),
            region_tokens_per_day: region_day.level(now),
        }
    }

    /// Forgets what is used.
    pub(crate) fn reset(&mut self, now: Duration) {
        self.requests.reset(now);
        self.tokens.reset(now);
        self.day.reset(now);
    }
}

/// A day is a cycle whatever the minute's shape is: it begins anew every 24 hours from the simulator's
/// start, as AWS's does at midnight.
pub(crate) const fn day_limit() -> Limit {
    Limit::per(DAY, WindowShape::Fixed)
}
