use std::{fmt, sync::Arc};

use rand::random;
use tokio::time::Duration;
use tower_bedrock_core::Priority;

use super::{Fleet, Store, Worker, attention::Calls};
use crate::{InvalidConfig, config::check, time::nanos};

/// How a member of the fleet behaves. In nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) window: u64,
    pub(crate) reserve: u64,
    pub(crate) timeout: u64,
    pub(crate) least_interval: u64,
    pub(crate) most_interval: u64,
    pub(crate) members: u64,
    pub(crate) priority: Priority,
}

/// Builds a [`Fleet`].
#[must_use]
pub struct FleetBuilder {
    store: Arc<dyn Store>,
    prefix: String,
    members: u64,
    priority: Priority,
    timeout: Duration,
    intervals: (Duration, Duration),
    reserve: Duration,
    id: Option<u128>,
}

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST_INTERVAL: Duration = Duration::from_secs(25);

impl Settings {
    /// The priority as the store counts it: 0 is the most urgent.
    pub(crate) const fn class(&self) -> u64 {
        match self.priority {
            Priority::Interactive => 0,
            Priority::Normal => 1,
            Priority::Batch => 2,
        }
    }

    /// How long a key may wait for the first answer.
    pub(crate) const fn patience(&self) -> u64 {
        self.timeout.saturating_mul(4)
    }
}

impl FleetBuilder {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            prefix: "tower-bedrock".into(),
            members: 4,
            priority: Priority::Normal,
            timeout: Duration::from_millis(500),
            intervals: (Duration::from_secs(1), Duration::from_secs(20)),
            reserve: MINUTE,
            id: None,
        }
    }

    /// What the names of all keys in the store begin with. Processes that share quotas have the same, and those of
    /// another AWS account another. Letters, digits, `-`, `_`, `.` and `:`, up to 100 of them. Default:
    /// `tower-bedrock`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many processes there usually are: 1 to 256. A safe share is no more than the limit divided by this,
    /// and less where the store has told of more members. Default: 4.
    pub const fn members(mut self, members: u64) -> Self {
        self.members = members;
        self
    }

    /// How urgent this process's work is, beside that of the others. Those whose work is more urgent get what they have
    /// use for first, and the others what that leaves: a process of [`Priority::Batch`] only fills up what people do
    /// not need. Which of its own calls goes first within a process is another question, and
    /// [theirs](tower_bedrock_core::Context::with_priority). Default: [`Priority::Normal`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// How long the store has for an answer: 100 ms to 5 s. Default: 500 ms. Four times as long is the most that a
    /// key's first calls wait for the store. Later ones never do: they go by the share that was granted last.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a lease is renewed, at the most and at the least: 100 ms to 25 s. Between the two it is once for
    /// a hundred calls. Default: 1 s and 20 s. A lease lasts two intervals and five seconds more; so long, and
    /// for a window after it, the share of a process that was killed is used by nobody.
    pub const fn renew_every(mut self, least: Duration, most: Duration) -> Self {
        self.intervals = (least, most);
        self
    }

    /// For how long others keep from using the safe share of a process that has fallen silent, from the end of
    /// its lease: up to an hour. Default: 60 s. A process that is cut off alone goes on with its safe share; for
    /// longer than this, it does so beyond the limit.
    pub const fn reserve(mut self, reserve: Duration) -> Self {
        self.reserve = reserve;
        self
    }

    /// What tells this process from others, instead of a random number. For tests that are to go the same way
    /// twice.
    #[doc(hidden)]
    pub const fn id(mut self, id: u128) -> Self {
        self.id = Some(id);
        self
    }

    /// The fleet, for [`LimiterBuilder::fleet`](crate::LimiterBuilder::fleet), and its worker, to be spawned.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the setting that is out of its range, and the range.
    pub fn build(self) -> Result<(Fleet, Worker), InvalidConfig> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if self.prefix.is_empty() || self.prefix.len() > 100 || !self.prefix.chars().all(plain) {
            return Err(InvalidConfig::new(
                "prefix",
                format!("{:?}", self.prefix),
                "1 to 100 letters, digits, -, _, . and :",
            ));
        }
        let seconds = Duration::as_secs_f64;
        let (least, most) = self.intervals;
        check("members", self.members, 1, 256)?;
        // Less would leave no time to replace a connection that hangs.
        check("timeout", seconds(&self.timeout), 0.1, 5.0)?;
        let longest = seconds(&LONGEST_INTERVAL);
        check("renew_every.least", seconds(&least), 0.1, longest)?;
        check("renew_every.most", seconds(&most), seconds(&least), longest)?;
        check("reserve", seconds(&self.reserve), 0.0, 3_600.0)?;
        let settings = Settings {
            window: nanos(MINUTE),
            reserve: nanos(self.reserve),
            timeout: nanos(self.timeout),
            least_interval: nanos(least),
            most_interval: nanos(most),
            members: self.members,
            priority: self.priority,
        };
        let calls = Arc::new(Calls::default());
        let id = self.id.unwrap_or_else(random);
        let fleet = Fleet::new(Arc::clone(&calls), settings.clone());
        let worker = Worker::new(calls, self.store, settings, self.prefix, id);
        Ok((fleet, worker))
    }
}

/// The store may hold a password, and is not shown.
impl fmt::Debug for FleetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("prefix", &self.prefix)
            .field("members", &self.members)
            .field("priority", &self.priority)
            .field("timeout", &self.timeout)
            .field("renew_every", &self.intervals)
            .field("reserve", &self.reserve)
            .finish_non_exhaustive()
    }
}
