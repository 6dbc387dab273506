use rand::Rng;
use tokio::time::{Duration, Instant};
use tower_bedrock_core::{Fault, GaveUp, Target};

use crate::{Policy, Schedule};

/// The retries of one call, as a state machine that knows nothing of Tower:
/// `(state, fault, now, randomness) -> decision`.
///
/// ```
/// use std::time::Duration;
/// use rand::{SeedableRng, rngs::StdRng};
/// use tokio::time::Instant;
/// use tower_bedrock_core::{Fault, FaultKind, GaveUp, Target};
/// use tower_bedrock_retry::{Decision, Policy, Session};
///
/// let policy = Policy::default();
/// let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
/// let now = Instant::now();
/// let mut rng = StdRng::seed_from_u64(7);
/// let mut session = Session::new(&policy, Some(now + Duration::from_secs(30)), || now);
///
/// // The first attempt met a 503: the next one starts at once.
/// let unavailable = Fault::new(FaultKind::Unavailable);
/// let decision = session.decide(&policy, &target, unavailable, now, &mut rng);
/// assert_eq!(decision, Decision::RetryIn(Duration::ZERO));
/// session.begin_attempt();
///
/// // The second one is told to come back when it is too late.
/// let throttled = Fault::new(FaultKind::ThrottledTokens).with_retry_after(Duration::from_secs(90));
/// let decision = session.decide(&policy, &target, throttled, now, &mut rng);
/// assert_eq!(decision, Decision::GiveUp(GaveUp::RetryAfter));
/// # Ok::<(), tower_bedrock_core::InvalidTarget>(())
/// ```
///
/// The retry budget is not asked here: it belongs to the target, not to the call.
#[derive(Clone, Debug)]
pub struct Session {
    started: Option<Instant>,
    deadline: Option<Instant>,
    attempts: u32,
    immediate: u32,
    delayed: u32,
    previous: Option<Duration>,
}

/// What follows from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this long.
    RetryIn(Duration),
    /// The fault could have been retried, but not any more.
    GiveUp(GaveUp),
    /// The fault is of a kind that is not retried.
    Stop,
}

impl Session {
    /// A call whose first attempt starts now. The clock is read only where the policy bounds the time
    /// that has passed since.
    #[must_use]
    pub fn new(
        policy: &Policy,
        deadline: Option<Instant>,
        clock: impl FnOnce() -> Instant,
    ) -> Self {
        Self {
            started: policy.max_elapsed().map(|_| clock()),
            deadline,
            attempts: 1,
            immediate: 0,
            delayed: 0,
            previous: None,
        }
    }

    /// Attempts begun.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Notes that another attempt begins.
    pub const fn begin_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Decides what follows from the fault that the latest attempt met at `now`.
    ///
    /// The delay is drawn from the fault's own [`Schedule`]. Where somebody said when to come back (a
    /// `Retry-After`; the quota's refresh, within the schedule's cap), it is no shorter than that: a
    /// shorter one becomes that plus up to the schedule's base, so that callers told the same time do
    /// not come back together.
    pub fn decide<R: Rng + ?Sized>(
        &mut self,
        policy: &Policy,
        target: &Target,
        fault: Fault,
        now: Instant,
        rng: &mut R,
    ) -> Decision {
        let Some(schedule) = policy.plan().schedule(fault.kind()) else {
            return Decision::Stop;
        };
        if self.attempts >= policy.max_attempts() {
            return Decision::GiveUp(GaveUp::MaxAttempts);
        }
        let asked = fault.retry_after().unwrap_or_default();
        let until_deadline = self.until_deadline(policy, now);
        if !asked.is_zero() && until_deadline.is_some_and(|left| asked >= left) {
            return Decision::GiveUp(GaveUp::RetryAfter);
        }

        let floor = asked
            .min(policy.max_retry_after())
            .max(Self::refresh(policy, schedule, target, now));
        let mut delay = self.draw(schedule, floor, rng);
        if delay < floor {
            delay = floor.saturating_add(schedule.backoff().spread(rng));
        }
        match self.time_left(policy, now) {
            Some((left, why)) if delay >= left => Decision::GiveUp(why),
            _ => Decision::RetryIn(delay),
        }
    }

    /// For how long from `now` another attempt may still start, and what ends it; `None` where nothing
    /// does.
    #[must_use]
    pub fn time_left(&self, policy: &Policy, now: Instant) -> Option<(Duration, GaveUp)> {
        let until_deadline = self
            .until_deadline(policy, now)
            .map(|left| (left, GaveUp::Deadline));
        let until_max_elapsed = policy
            .max_elapsed()
            .zip(self.started)
            .map(|(max, started)| {
                let left = max.saturating_sub(now.saturating_duration_since(started));
                (left, GaveUp::MaxElapsed)
            });
        [until_deadline, until_max_elapsed]
            .into_iter()
            .flatten()
            .min_by_key(|(left, _)| *left)
    }

    /// In durations, as subtracting from an instant may go below what the clock can show.
    fn until_deadline(&self, policy: &Policy, now: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(now);
            left.saturating_sub(policy.min_attempt_time())
        })
    }

    fn draw<R: Rng + ?Sized>(
        &mut self,
        schedule: &Schedule,
        floor: Duration,
        rng: &mut R,
    ) -> Duration {
        if self.immediate < schedule.immediate() && floor.is_zero() {
            self.immediate += 1;
            return Duration::ZERO;
        }
        let delay = schedule.backoff().delay(self.delayed, self.previous, rng);
        self.delayed = self.delayed.saturating_add(1);
        self.previous = Some(delay);
        delay
    }

    /// The time to the quota's refresh, or zero where it is of no matter. Nobody is kept waiting for
    /// longer than the schedule's cap.
    fn refresh(policy: &Policy, schedule: &Schedule, target: &Target, now: Instant) -> Duration {
        if !schedule.is_aligned() {
            return Duration::ZERO;
        }
        policy
            .until_refresh(target, now)
            .filter(|until| *until <= schedule.backoff().cap())
            .unwrap_or_default()
    }
}
