use std::{fmt, num::NonZero, sync::Arc};

use tokio::time::{Duration, Instant};

/// What a call carries besides its input: how long it may take, how urgent it is, whose it is, and whether its
/// answer is a stream.
///
/// ```
/// use tokio::time::{Duration, Instant};
/// use tower_bedrock_core::{Context, Priority};
///
/// let context = Context::default()
///     .with_deadline(Instant::now() + Duration::from_secs(60))
///     .with_priority(Priority::Interactive)
///     .with_tenant("team-a");
/// assert_eq!(context.tenant().map(|t| t.as_str()), Some("team-a"));
/// ```
///
/// The default has no deadline, [`Priority::Normal`], no tenant, and an answer that comes whole. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    deadline: Option<Instant>,
    priority: Priority,
    tenant: Option<Tenant>,
    streaming: bool,
    attempt: Option<NonZero<u32>>,
}

/// How urgent a call is. Where calls wait for one another, a more urgent class goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody is waiting for the answer.
    Interactive,
    /// The default.
    #[default]
    Normal,
    /// Work that may wait until nobody else wants the capacity.
    Batch,
}

/// Who a call is made for, where several share one quota. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Context {
    /// A context with no deadline, normal priority and no tenant; usable in a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            deadline: None,
            priority: Priority::Normal,
            tenant: None,
            streaming: false,
            attempt: None,
        }
    }

    /// Sets the time by which the answer is of use. It holds for the whole call: retries, waits and
    /// fallback hops share it.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<Tenant>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Says whether the answer is a stream. Such a call is answered when the stream begins, so a policy may
    /// expect that sooner than a whole answer.
    #[must_use]
    pub const fn with_streaming(mut self, streaming: bool) -> Self {
        self.streaming = streaming;
        self
    }

    /// Says which attempt at its target this is, counted from 1: for the policy that makes the attempts. It tells of
    /// each that fails, and knows what follows; those further in then do not.
    pub const fn set_attempt(&mut self, attempt: u32) {
        self.attempt = NonZero::new(attempt);
    }

    /// Brings the deadline forward to `deadline` if it is later than that, or unset.
    pub fn limit_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
    }

    /// The time by which the answer is of use.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time left until the deadline: zero when it has passed, `None` when there is none.
    #[must_use]
    pub fn time_left(&self, now: Instant) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(now))
    }

    /// The priority.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// Whether the answer is a stream.
    #[must_use]
    pub const fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Which attempt at its target this is, counted from 1; `None` where no policy counts them.
    #[must_use]
    pub const fn attempt(&self) -> Option<u32> {
        match self.attempt {
            Some(attempt) => Some(attempt.get()),
            None => None,
        }
    }
}

impl Priority {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Normal, Self::Batch];

    /// The class in lower case, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Normal => "normal",
            Self::Batch => "batch",
        }
    }
}

impl Tenant {
    /// The tenant's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Tenant {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
