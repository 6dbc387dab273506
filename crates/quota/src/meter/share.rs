use crate::time::Time;

/// The part of a limit that a fleet lets this process use.
///
/// It is leased: when the lease has run out the process falls back to its safe share, at first only where
/// that is less. Others may hold what is above it for some time yet; after `safe_from` they cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    cap: u64,
    expires: Time,
    safe: u64,
    safe_from: Time,
    /// The limit of the whole fleet, as throttles have taught it.
    whole: u64,
    /// What this process can count on were it to ask for more.
    prospect: u64,
    /// What is kept free for calls that cost more than they reserved: others fill their shares meanwhile.
    margin: u64,
    lessons: Lessons,
}

/// How a limit joins a fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joins {
    /// How many members there usually are.
    pub(crate) members: u64,
    /// For how long the first answer is waited for.
    pub(crate) patience: u64,
}

/// What has become of calls sent under one version of what throttles have taught the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Lessons {
    version: u64,
    since: Time,
    throttled: u64,
    succeeded: u64,
    /// Whether the share was cut already, until the fleet has heard of it.
    flinched: bool,
}

/// What a fleet grants.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "made by a fleet"))]
pub(crate) struct Terms {
    pub(crate) share: u64,
    pub(crate) expires: Time,
    pub(crate) safe: u64,
    pub(crate) safe_from: Time,
    pub(crate) whole: u64,
    pub(crate) prospect: u64,
    pub(crate) version: u64,
}

/// How long a call that no share has room for is said to wait, where nothing is known to happen sooner.
const UNTIL_TOLD: u64 = 60_000_000_000;

impl Share {
    /// What is let through at the most.
    pub(crate) fn limit(&self) -> u64 {
        self.cap - self.margin.min(self.cap / 8)
    }

    /// A call has cost so much more than it reserved. Nothing new goes until that is paid, but by then another may have
    /// ended so.
    pub(crate) fn overshot(&mut self, amount: u64) {
        self.margin = self.margin.max(amount.saturating_mul(2));
    }

    /// Brings it up to `now`.
    pub(crate) fn advance(&mut self, now: Time) {
        if now < self.expires {
            return;
        }
        if now >= self.safe_from {
            self.cap = self.safe;
            self.prospect = self.safe;
        } else if self.expires > Time::ZERO {
            self.cap = self.cap.min(self.safe);
            self.prospect = self.safe;
        }
    }

    /// Whether it is the whole limit: then a call larger than that may go alone.
    pub(crate) const fn is_whole(&self) -> bool {
        self.cap >= self.whole
    }

    /// What a forecast goes by: a share grows as others wait less than this process.
    pub(crate) fn expected(&self) -> u64 {
        self.prospect.max(self.cap).max(1)
    }

    /// When a call above the share is worth looking at again.
    pub(crate) fn changes_after(&self, now: Time) -> Time {
        if self.safe > self.cap && self.safe_from > now {
            self.safe_from
        } else {
            now.plus(UNTIL_TOLD)
        }
    }

    /// A call was throttled that was sent at `sent`.
    pub(crate) fn throttled(&mut self, sent: Time) {
        let lessons = &mut self.lessons;
        if sent < lessons.since {
            return;
        }
        lessons.throttled += 1;
        if !std::mem::replace(&mut lessons.flinched, true) {
            self.cap -= self.cap / 20;
        }
    }

    pub(crate) const fn succeeded(&mut self) {
        self.lessons.succeeded += 1;
    }
}

impl Joins {
    /// Nothing of a limit that is declared now, and its safe share from some time on if nobody has answered.
    pub(crate) fn share(self, declared: u64, now: Time) -> Share {
        Share::unanswered(declared / self.members.max(1), now.plus(self.patience))
    }
}

impl Share {
    /// Nothing, and the safe share from then on if nobody has answered.
    pub(crate) fn unanswered(safe: u64, safe_from: Time) -> Self {
        Self {
            cap: 0,
            expires: Time::ZERO,
            safe,
            safe_from,
            whole: u64::MAX,
            prospect: u64::MAX,
            margin: 0,
            lessons: Lessons::default(),
        }
    }
}

#[cfg(feature = "redis")]
impl Share {
    pub(crate) const fn cap(&self) -> u64 {
        self.cap
    }

    /// Whether the fleet has never been asked for it: it has nothing so far, and counts on something.
    pub(crate) fn is_new(&self) -> bool {
        self.whole == u64::MAX
    }

    /// Asks the fleet anew, having had nothing.
    pub(crate) fn ask_anew(&mut self, safe: u64, safe_from: Time) {
        self.cap = 0;
        self.expires = Time::ZERO;
        self.safe = safe;
        self.safe_from = safe_from;
    }

    /// What was told just now is to be true until the answer comes.
    pub(crate) fn stay_until(&mut self, answered: Time) {
        self.safe_from = self.safe_from.max(answered);
    }

    /// Uses no more, and no longer counts on a safe share.
    pub(crate) const fn resign(&mut self) {
        self.cap = 0;
        self.safe = 0;
        self.expires = Time::ZERO;
        self.safe_from = Time::ZERO.plus(u64::MAX);
        self.prospect = self.whole;
    }

    pub(crate) fn grant(&mut self, terms: &Terms, now: Time) {
        self.cap = terms.share;
        self.expires = terms.expires;
        self.safe = terms.safe;
        self.safe_from = terms.safe_from;
        self.whole = terms.whole.max(1);
        self.prospect = terms.prospect;
        // What was overshot once is forgotten in a dozen renewals.
        self.margin -= self.margin.div_ceil(8);
        let lessons = &mut self.lessons;
        lessons.flinched = false;
        if lessons.version != terms.version {
            *lessons = Lessons {
                version: terms.version,
                since: now,
                ..Lessons::default()
            };
        }
        self.advance(now);
    }

    /// Whether the lease has run out.
    #[cfg(test)]
    pub(crate) fn is_over(&self, now: Time) -> bool {
        now >= self.expires
    }

    /// Whether it is what a process that was cut off for long goes on with.
    #[cfg(test)]
    pub(crate) fn is_safe(&self, now: Time) -> bool {
        now >= self.expires && now >= self.safe_from
    }

    pub(crate) const fn version(&self) -> u64 {
        self.lessons.version
    }

    /// Of a thousand calls under this version, how many were throttled; one at least if any.
    pub(crate) fn throttled_of_thousand(&self) -> u64 {
        let Lessons {
            throttled,
            succeeded,
            ..
        } = self.lessons;
        if throttled == 0 {
            return 0;
        }
        let calls = throttled.saturating_add(succeeded);
        (throttled.saturating_mul(1_000) / calls).max(1)
    }
}
