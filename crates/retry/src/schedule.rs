use crate::Backoff;

/// When to retry after faults of one kind.
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_retry::{Backoff, Schedule};
///
/// // At once for the first time, then in seconds.
/// let backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60))?;
/// let schedule = Schedule::new(backoff).with_immediate(1);
/// assert_eq!(schedule.immediate(), 1);
/// # Ok::<(), tower_bedrock_retry::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    backoff: Backoff,
    immediate: u32,
    aligned: bool,
}

impl Schedule {
    /// Retries with the delays of `backoff`, none of them immediate, none of them aligned.
    #[must_use]
    pub const fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            immediate: 0,
            aligned: false,
        }
    }

    /// Makes the first `retries` retries of a call at once. Default: 0.
    ///
    /// A call has no more immediate retries than this, whatever faults it met before; and one that was
    /// told when to come back has none.
    #[must_use]
    pub const fn with_immediate(mut self, retries: u32) -> Self {
        self.immediate = retries;
        self
    }

    /// Whether a retry waits for the quota's refresh, where [`Policy`](crate::Policy) knows when it is.
    /// Default: no.
    #[must_use]
    pub const fn with_alignment(mut self, aligned: bool) -> Self {
        self.aligned = aligned;
        self
    }

    /// The delays of the retries that are not immediate.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// How many retries of a call are made at once.
    #[must_use]
    pub const fn immediate(&self) -> u32 {
        self.immediate
    }

    /// Whether a retry waits for the quota's refresh.
    #[must_use]
    pub const fn is_aligned(&self) -> bool {
        self.aligned
    }
}
