use super::Reading;
use crate::{
    learn::Learned,
    rate::{Lately, Rate},
    time::Time,
    window::Bucket,
};

/// A limit of which nothing is declared. Until a 429 everything fits; then the rate it came at is a level to
/// start from.
///
/// Nothing is known of the window's shape either, so the level is kept as an even pace, with a second's
/// worth of slack: that is within the level in every shape. A call larger than the slack goes when
/// the pace has caught up with all before it, and one larger than the level counts as one of the level.
#[derive(Clone, Debug)]
pub(crate) struct Unknown {
    period: u64,
    rate: Rate,
    lately: Lately,
    /// When the first call went.
    began: Option<Time>,
    /// Boxed: most limits never come to it.
    pace: Option<Box<Pace>>,
}

#[derive(Clone, Debug)]
struct Pace {
    bucket: Bucket,
    learned: Learned,
}

/// The share of a minute that a pace may run ahead: one second's.
const SLACK: u64 = 60;

/// A rate that calls went at for so many nanoseconds before the first 429 was no mere beginning.
const A_WHILE: u64 = 10_000_000_000;

/// The bucket drains this much the faster over a period this much the longer, so that a level of few calls
/// is kept to its third decimal.
const FINE: u64 = 1_000;

impl Unknown {
    pub(crate) fn new(period: u64) -> Self {
        Self {
            period,
            rate: Rate::default(),
            lately: Lately::default(),
            began: None,
            pace: None,
        }
    }

    pub(crate) fn advance(&mut self, now: Time) {
        if let Some(pace) = &mut self.pace {
            pace.bucket.advance(now, pace.drain());
        }
    }

    pub(crate) const fn is_learning(&self) -> bool {
        self.pace.is_some()
    }

    pub(crate) fn fits(&self, amount: u64) -> bool {
        match &self.pace {
            Some(pace) => pace.bucket.fits(amount, pace.slack()) || pace.bucket.is_empty(),
            None => true,
        }
    }

    pub(crate) fn slack(&self) -> u64 {
        self.pace.as_ref().map_or(0, |pace| pace.slack())
    }

    pub(crate) fn available(&self) -> u64 {
        self.pace.as_ref().map_or(u64::MAX, |pace| {
            pace.slack().saturating_sub(pace.bucket.used())
        })
    }

    pub(crate) fn is_pressed(&self) -> bool {
        self.pace
            .as_ref()
            .is_some_and(|pace| pace.bucket.used() > pace.slack() / 2)
    }

    /// How much of the slack is used up.
    pub(crate) fn fullness(&self) -> f64 {
        self.pace.as_ref().map_or(0.0, |pace| {
            pace.bucket.used() as f64 / pace.slack().max(1) as f64
        })
    }

    /// Answers how much of it is not counted: a window would hold no more than the level, and no longer than a
    /// period.
    pub(crate) fn charge(&mut self, now: Time, amount: u64) -> u64 {
        let Some(pace) = &mut self.pace else {
            // What a first 429 is judged by.
            self.rate.add(now, amount);
            self.lately.add(self.period, now, amount);
            self.began.get_or_insert(now);
            return 0;
        };
        let room = pace.level().saturating_sub(pace.bucket.used());
        let counted = amount.min(room);
        pace.bucket.charge(now, counted, pace.drain());
        amount - counted
    }

    /// Gives back some of what was charged, of which `not_counted` was not.
    pub(crate) const fn give_back(&mut self, not_counted: u64, amount: u64) {
        match &mut self.pace {
            Some(pace) => pace.bucket.give_back(amount.saturating_sub(not_counted)),
            None => self.lately.take_back(amount),
        }
    }

    pub(crate) fn opens_at(&self, now: Time, amount: u64) -> Time {
        self.pace.as_ref().map_or(now, |pace| {
            let slack = pace.slack();
            pace.bucket
                .ready_at(now, amount.min(slack), pace.drain(), slack)
        })
    }

    pub(crate) fn forecast(&self, now: Time, amount: u64) -> Time {
        self.pace.as_ref().map_or(now, |pace| {
            pace.bucket
                .ready_at(now, amount, pace.drain(), pace.slack())
        })
    }

    pub(crate) fn throttled(&mut self, amount: u64, sent: Time, now: Time) {
        match &mut self.pace {
            Some(pace) => {
                let from = pace.learned.level();
                pace.learned.throttled(from, amount, sent, now);
                // It used nothing and is refunded; but it went at this pace, and so does the next.
                pace.bucket
                    .charge(now, amount.min(pace.level()), pace.drain());
            }
            None => {
                let rate = self.rate.per(self.period, now);
                let began = self.began.unwrap_or(now);
                let has_held = now.since(began) > A_WHILE;
                let mut learned = Learned::first(rate, has_held, amount, self.period, now);
                if now.since(began) > self.period {
                    let lately = self.lately.in_a_period(self.period, now);
                    learned = learned.after_a_period_of(lately, now);
                }
                let mut pace = Box::new(Pace {
                    bucket: Bucket::new(self.period * FINE, 0),
                    learned,
                });
                pace.bucket.advance(now, 1);
                // A limit that has just been met leaves no slack.
                pace.bucket.charge(now, pace.slack(), pace.drain());
                self.pace = Some(pace);
            }
        }
    }

    pub(crate) fn succeeded(&mut self, pressed: bool, amount: u64, now: Time) {
        if let Some(pace) = &mut self.pace {
            pace.learned.succeeded(pressed, amount, now);
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        let pace = self.pace.as_deref();
        Reading {
            declared: None,
            effective: pace.map(Pace::level),
            used: pace.map_or(0, |pace| pace.bucket.used()),
            debt: 0,
        }
    }
}

impl Pace {
    /// `as` saturates.
    fn drain(&self) -> u64 {
        (self.learned.level() * FINE as f64) as u64
    }

    const fn level(&self) -> u64 {
        self.learned.whole_level()
    }

    const fn slack(&self) -> u64 {
        self.level() / SLACK
    }
}
