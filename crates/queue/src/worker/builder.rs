use tokio::time::Duration;
use tower_bedrock_core::Fault;

use super::{Leave, Settings, Worker};
use crate::Verdict;

/// Builds a [`Worker`]. Made by [`Worker::builder`].
#[derive(Clone, Debug)]
pub struct WorkerBuilder<Q, S, C, R = (), H = ()> {
    queue: Q,
    service: S,
    codec: C,
    results: R,
    headroom: H,
    settings: Settings,
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    expected: &'static str,
}

impl<Q, S, C> WorkerBuilder<Q, S, C> {
    pub(super) const fn new(queue: Q, service: S, codec: C) -> Self {
        Self {
            queue,
            service,
            codec,
            results: (),
            headroom: (),
            settings: Settings::DEFAULT,
        }
    }
}

impl<Q, S, C, R, H> WorkerBuilder<Q, S, C, R, H> {
    /// Keeps results in a store, and pays for no work whose result is there. Without one, a message that comes
    /// again is called for again.
    #[must_use]
    pub fn results<R2>(self, results: R2) -> WorkerBuilder<Q, S, C, R2, H> {
        WorkerBuilder {
            queue: self.queue,
            service: self.service,
            codec: self.codec,
            results,
            headroom: self.headroom,
            settings: self.settings,
        }
    }

    /// Asks before taking work, and before each call, whether it would be served at once: a quota's limiter, a
    /// circuit breaker's handle, or a pair of them. Without one, work is taken as fast as the service is done
    /// with it.
    #[must_use]
    pub fn headroom<H2>(self, headroom: H2) -> WorkerBuilder<Q, S, C, R, H2> {
        WorkerBuilder {
            queue: self.queue,
            service: self.service,
            codec: self.codec,
            results: self.results,
            headroom,
            settings: self.settings,
        }
    }

    /// The share that is left to others of every limit that the headroom knows: requests a minute, tokens a minute and
    /// tokens a day. 0.0 to 1.0; default 0.25.
    ///
    /// A window that is full of batch work is full for everyone until that leaves it, a day's for hours, whatever priority
    /// the others have.
    /// So what is left has to be as much as people may want at once, beyond what they use all the time. Where they
    /// use 40% of a quota and come at random, a quarter is enough for them not to notice the batch at all. Zero
    /// uses all there is: for a quota that nobody else needs at the moment.
    ///
    /// Where a limit has no room for a call and this, half of it is left, or a quarter, and so on, and a warning is logged.
    /// Of few requests it is the nearest whole number: one of three, and of one none.
    #[must_use]
    pub const fn leave_share(mut self, share: f64) -> Self {
        self.settings.leave = Leave::Share(share);
        self
    }

    /// Leaves so many tokens to others, instead of a [share](Self::leave_share): the headroom is asked for each call's
    /// demand and these on top. Of requests nothing is left.
    #[must_use]
    pub const fn leave_tokens(mut self, tokens: u64) -> Self {
        self.settings.leave = Leave::Tokens(tokens);
        self
    }

    /// The most messages held at once, those that wait for headroom included. Default 16.
    #[must_use]
    pub const fn concurrency(mut self, concurrency: usize) -> Self {
        self.settings.concurrency = concurrency;
        self
    }

    /// How long a message is leased for, and renewed for at every third of it. Default 60 seconds: what dies
    /// with its process comes back a minute later.
    #[must_use]
    pub const fn visibility(mut self, visibility: Duration) -> Self {
        self.settings.visibility = visibility;
        self
    }

    /// How often a message may be attempted before it is set aside. Default 5.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts;
        self
    }

    /// How long a message is held while there is no headroom for it; then it goes back to the queue, uncounted.
    /// Default 30 seconds.
    #[must_use]
    pub const fn max_hold(mut self, hold: Duration) -> Self {
        self.settings.max_hold = hold;
        self
    }

    /// How long calls that are under way when the worker is stopped may take to end. Default zero: their messages
    /// go back at once. Bedrock charges for a call that is dropped, so a little patience may be worth its time.
    #[must_use]
    pub const fn drain(mut self, drain: Duration) -> Self {
        self.settings.drain = drain;
        self
    }

    /// Judges faults by another rule than [`Verdict::of`].
    #[must_use]
    pub const fn verdict(mut self, verdict: fn(&Fault) -> Verdict) -> Self {
        self.settings.verdict = verdict;
        self
    }

    /// Builds the worker.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the setting, its value and what is accepted.
    pub fn build(self) -> Result<Worker<Q, S, C, R, H>, InvalidConfig> {
        const HALF_A_DAY: Duration = Duration::from_secs(12 * 3_600);
        let Settings {
            leave,
            concurrency,
            visibility,
            max_attempts,
            max_hold,
            ..
        } = self.settings;
        let refuse = |field, value, expected| {
            Err(InvalidConfig {
                field,
                value,
                expected,
            })
        };
        if let Leave::Share(share) = leave
            && !(0.0..=1.0).contains(&share)
        {
            return refuse("leave_share", share.to_string(), "0.0 to 1.0");
        }
        if !(1..=10_000).contains(&concurrency) {
            let expected = "1 to 10,000";
            return refuse("concurrency", concurrency.to_string(), expected);
        }
        if !(Duration::from_secs(1)..=HALF_A_DAY).contains(&visibility) {
            // More than SQS takes.
            let expected = "1 second to 12 hours";
            return refuse("visibility", format!("{visibility:?}"), expected);
        }
        if max_hold > HALF_A_DAY {
            let expected = "at most 12 hours";
            return refuse("max_hold", format!("{max_hold:?}"), expected);
        }
        if max_attempts == 0 {
            return refuse("max_attempts", "0".to_owned(), "1 or more");
        }
        Ok(Worker {
            queue: self.queue,
            service: self.service,
            codec: self.codec,
            results: self.results,
            headroom: self.headroom,
            settings: self.settings,
        })
    }
}
