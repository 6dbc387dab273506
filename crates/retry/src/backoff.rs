use rand::{Rng, RngExt};
use tokio::time::Duration;

use crate::InvalidConfig;

/// Exponential backoff: how long to wait before a retry.
///
/// ```
/// use std::time::Duration;
/// use rand::{SeedableRng, rngs::StdRng};
/// use tower_bedrock_retry::{Backoff, Jitter};
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60))?;
/// let mut rng = StdRng::seed_from_u64(7);
/// // The fourth retry waits for up to 1 s * 2^3.
/// assert!(backoff.delay(3, None, &mut rng) <= Duration::from_secs(8));
///
/// let exact = backoff.with_jitter(Jitter::None);
/// assert_eq!(exact.delay(3, None, &mut rng), Duration::from_secs(8));
/// assert_eq!(exact.delay(30, None, &mut rng), Duration::from_secs(60));
/// # Ok::<(), tower_bedrock_retry::InvalidConfig>(())
/// ```
///
/// The default is a base of 1 s, a cap of 60 s and full jitter, as AWS teaches it for Bedrock.
/// **No delay is ever longer than the cap**, whatever the jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    jitter: Jitter,
}

/// How randomness spreads the delays of callers that failed together.
///
/// With `e = min(base * 2^retry, cap)`, `retry` counted from 0, and `U(a, b)` uniform from `a` to `b`:
///
/// Source of full, equal and decorrelated: AWS Architecture Blog, *Exponential Backoff And Jitter*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Jitter {
    /// `U(0, e)`: the fewest calls under contention of the four that AWS measured.
    #[default]
    Full,
    /// `e / 2 + U(0, e / 2)`: never less than half.
    Equal,
    /// `min(cap, U(base, 3 * previous delay))`, the first one from `base` on.
    Decorrelated,
    /// `e + U(0, e / 10)`, as AWS's sample code for Bedrock has it, with `e` at most `cap / 1.1`: what
    /// is added neither passes the cap nor vanishes at it.
    Additive,
    /// `e`. Callers that failed together come back together: for tests.
    None,
}

impl Backoff {
    /// A backoff with full jitter.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where `base` is zero or `cap` is less than `base`. To retry with no delay at
    /// all is [`Schedule::with_immediate`](crate::Schedule::with_immediate), which is bounded.
    pub fn new(base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        InvalidConfig::check(!base.is_zero(), "base", base, "more than zero")?;
        InvalidConfig::check(cap >= base, "cap", cap, "at least the base")?;
        Ok(Self::new_unchecked(base, cap))
    }

    pub(crate) const fn new_unchecked(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            jitter: Jitter::Full,
        }
    }

    /// Sets the jitter.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// What the delays grow from.
    #[must_use]
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// What no delay exceeds.
    #[must_use]
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// The jitter.
    #[must_use]
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The delay before a retry, counted from 0. `previous` is the delay before the one before it, which
    /// [`Jitter::Decorrelated`] asks for.
    pub fn delay<R: Rng + ?Sized>(
        &self,
        retry: u32,
        previous: Option<Duration>,
        rng: &mut R,
    ) -> Duration {
        match self.jitter {
            Jitter::Full => uniform(Duration::ZERO, self.exponential(retry, self.cap), rng),
            Jitter::Equal => {
                let full = self.exponential(retry, self.cap);
                uniform(full / 2, full, rng)
            }
            Jitter::Decorrelated => {
                let widest = previous.unwrap_or(self.base).saturating_mul(3);
                uniform(self.base, widest.max(self.base), rng).min(self.cap)
            }
            Jitter::Additive => {
                // e + e/10 <= cap where e <= cap - cap/11.
                let least = self.exponential(retry, self.cap - self.cap / 11);
                uniform(least, least.saturating_add(least / 10), rng).min(self.cap)
            }
            Jitter::None => self.exponential(retry, self.cap),
        }
    }

    /// Something to add to a time that others were told too, so that not all of them come back at once:
    /// up to the base, and nothing where there is no jitter.
    pub(crate) fn spread<R: Rng + ?Sized>(&self, rng: &mut R) -> Duration {
        match self.jitter {
            Jitter::None => Duration::ZERO,
            _ => uniform(Duration::ZERO, self.base, rng),
        }
    }

    fn exponential(&self, retry: u32, cap: Duration) -> Duration {
        2_u32
            .checked_pow(retry)
            .and_then(|factor| self.base.checked_mul(factor))
            .map_or(cap, |delay| delay.min(cap))
    }
}

/// Base 1 s, cap 60 s, full jitter.
impl Default for Backoff {
    fn default() -> Self {
        Self::new_unchecked(Duration::from_secs(1), Duration::from_secs(60))
    }
}

/// Bounds beyond 584 years are taken for 584 years.
fn uniform<R: Rng + ?Sized>(low: Duration, high: Duration, rng: &mut R) -> Duration {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.random_range(nanos(low)..=nanos(high)))
}
