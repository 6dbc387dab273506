//! What a member of the fleet says to the store, and what it is answered. Both are whole numbers, so that the
//! store's script and its model in Rust compute the same.

use super::{
    day::{self, DayAward, DayClaim},
    ledger,
};

/// How many limits a key has: requests a minute and tokens a minute.
pub(crate) const LIMITS: usize = 2;

/// The largest amount that is spoken of. Numbers in Redis's scripts are exact as far as 2^53, and sums of these
/// stay below it.
pub(crate) const MOST: u64 = 1 << 43;

/// What a member tells of one key when it renews its lease. Made by the limiter, for a
/// [`Store`](super::Store) to pass on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Renewal {
    pub(crate) member: u128,
    /// Greater with each renewal, so that one that comes late is told from the latest.
    pub(crate) sequence: u64,
    /// For how long the answer is to be good, in milliseconds; zero from a member that leaves.
    pub(crate) lease: u64,
    /// The length of the limits' window.
    pub(crate) window: u64,
    /// For how long a safe share is to be kept where this member falls silent.
    pub(crate) reserve: u64,
    /// How many members there were when it was answered last; zero from one that never was.
    pub(crate) known: u64,
    /// How long ago that was.
    pub(crate) silence: u64,
    /// How long the call has waited that goes next.
    pub(crate) waited: u64,
    /// How urgent its work is: 0 is the most.
    pub(crate) class: u64,
    /// By limit.
    pub(crate) claims: [Claim; LIMITS],
    /// Where it is no key's but a Region's day's, all that is claimed.
    pub(crate) day: Option<DayClaim>,
}

/// What a member tells of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    /// The limit as it was declared; zero where there is none.
    pub(crate) limit: u64,
    /// What the member keeps to from now on, until it is answered.
    pub(crate) holds: u64,
    /// What is in use of it in the window that ends now, debts included.
    pub(crate) used: u64,
    /// The part of that for which there was no room: what calls cost beyond what they reserved, not yet worked off.
    pub(crate) debt: u64,
    /// What it would have use for in a window.
    pub(crate) demand: u64,
    /// What the call needs that goes next; zero where none waits.
    pub(crate) need: u64,
    /// Which version of what throttles have taught it goes by ...
    pub(crate) version: u64,
    /// ... and how many of a thousand calls sent under that version were throttled.
    pub(crate) throttled: u64,
}

/// The store's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Answer {
    pub(crate) members: u64,
    pub(crate) awards: [Award; LIMITS],
    pub(crate) day: DayAward,
}

/// What a member may use of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Award {
    /// Its share, for as long as the lease that it asked for.
    pub(crate) share: u64,
    /// The whole limit, as throttles have taught it.
    pub(crate) whole: u64,
    /// What it can count on were it to ask for everything.
    pub(crate) prospect: u64,
    pub(crate) version: u64,
}

/// Why a store did not grant a lease.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It has answered a later renewal of the same member already.
    #[error("a later renewal has overtaken this one")]
    Overtaken,
    /// It keeps count of as many members as it can.
    #[error("the quota has as many members as can be kept count of")]
    Full,
    /// It did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It cannot be reached, or failed.
    #[error("{0}")]
    Failed(String),
}

impl Renewal {
    /// What Redis is to run.
    #[doc(hidden)]
    #[must_use]
    pub const fn script(&self) -> &'static str {
        match self.day {
            Some(_) => day::SCRIPT,
            None => ledger::SCRIPT,
        }
    }

    /// The script's arguments, for a call of it at a time of one's own. For simulations, in which a real server
    /// keeps the time of a clock that does not run.
    #[doc(hidden)]
    #[must_use]
    pub fn arguments(&self, now_ms: Option<u64>) -> Vec<String> {
        let now = now_ms.map_or_else(String::new, |now| now.to_string());
        let head = [now, format!("{:032x}", self.member)];
        let numbers = self.numbers().into_iter().map(|number| number.to_string());
        head.into_iter().chain(numbers).collect()
    }

    /// The numbers in the order that the script reads them.
    fn numbers(&self) -> Vec<u64> {
        let head = [
            self.sequence,
            self.lease,
            self.window,
            self.reserve,
            self.known,
            self.silence,
            self.waited,
        ];
        if let Some(day) = &self.day {
            return head.into_iter().chain(day.numbers()).collect();
        }
        let claims = self.claims.iter().flat_map(|claim| {
            [
                claim.limit,
                claim.holds,
                claim.used,
                claim.debt,
                claim.demand,
                claim.need,
                claim.version,
                claim.throttled,
            ]
        });
        head.into_iter()
            .chain(claims)
            .chain([self.class])
            .map(|n| n.min(MOST))
            .collect()
    }

    /// With every amount at most what is spoken of.
    pub(crate) fn clamped(mut self) -> Self {
        for claim in &mut self.claims {
            for amount in [
                &mut claim.limit,
                &mut claim.holds,
                &mut claim.used,
                &mut claim.debt,
                &mut claim.demand,
                &mut claim.need,
            ] {
                *amount = (*amount).min(MOST);
            }
        }
        self.day = self.day.map(DayClaim::clamped);
        self
    }
}

impl Answer {
    /// Reads the numbers that the script answers.
    #[doc(hidden)]
    pub fn from_numbers(numbers: &[u64]) -> Result<Self, StoreError> {
        let short = || StoreError::Failed("the script's answer is too short".into());
        let &[status, members, ref awards @ ..] = numbers else {
            return Err(short());
        };
        match status {
            0 => {}
            1 => return Err(StoreError::Overtaken),
            _ => return Err(StoreError::Full),
        }
        if let Ok(day) = <[u64; 6]>::try_from(awards) {
            return Ok(Self {
                members,
                day: day.into(),
                ..Self::default()
            });
        }
        let award = |at: usize| match awards.get(4 * at..4 * at + 4) {
            Some(&[share, whole, prospect, version]) => Ok(Award {
                share,
                whole,
                prospect,
                version,
            }),
            _ => Err(short()),
        };
        Ok(Self {
            members,
            awards: [award(0)?, award(1)?],
            ..Self::default()
        })
    }
}
