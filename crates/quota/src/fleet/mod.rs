//! One quota for many processes, shared through Redis or Valkey without a round trip for each request.
//!
//! ```no_run
//! use tower_bedrock_quota::{LimitTable, Limiter, Limits, QuotaLayer, QuotaPattern};
//! use tower_bedrock_quota::fleet::{Fleet, RedisStore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = LimitTable::new().with(
//!     QuotaPattern::any(),
//!     Limits::new().with_requests_per_minute(1_000).with_tokens_per_minute(2_000_000),
//! );
//! let (fleet, worker) = Fleet::builder(RedisStore::new("redis://127.0.0.1")?).build()?;
//! let limiter = Limiter::builder().limits(limits).fleet(fleet).build()?;
//! let layer = QuotaLayer::new(limiter);
//! tokio::spawn(worker.run());
//! # Ok(())
//! # }
//! ```
//!
//! # How
//!
//! Every process keeps its own mirror of each limit, at in-process speed, and the store decides what *share* of the
//! limit each mirror may fill. A share is leased. The worker renews the lease once for about a hundred calls, and
//! sooner while calls wait for want of a share; with each renewal it tells what is in use, what it could use, and
//! what the next call needs, and one script in the store, which goes by the server's clock alone, answers with the
//! new share:
//!
//! - everybody gets as much as the next, but no more than it has use for; of what nobody wants each gets a part;
//! - processes of a [priority](FleetBuilder::priority) get what they have use for before those of a less urgent one, and keep a
//!   quarter of what they leave, so that batches fill up what people do not need and give way when they do, within a
//!   minute or two;
//! - a call that is larger than its process's share but not than the limit gets what it needs in its turn;
//! - a share grows only by what nobody can use any more. One that is to shrink counts as before until its process
//!   has said that it keeps to less; one of a process that has fallen silent counts until its lease has run out
//!   and a window has passed.
//!
//! So no window holds more than the limit, whatever processes, networks and clocks do, for as long as the store
//! answers and remembers.
//!
//! What is shared are the declared limits, in sliding windows. Limits that are not declared are learnt by each process,
//! and so is a day of which no limit is declared. What 429s teach of a shared limit is kept in the store: one congestion is
//! one lesson for all, however many processes met it, and where the tokens of a day are used up for Bedrock, all
//! processes hold their calls, and then one call at a time finds out for all.
//!
//! # Tokens a day
//!
//! They are the account's and the Region's, whatever the model, and shared in another way: a share of a window is out of the
//! others' reach until the window has passed. So the store keeps the window itself, of what calls have cost, by quarters of an
//! hour; and processes lease slices of what is left:
//!
//! - a slice is twice what its process took since the last renewal, and at most what is left divided by twice the
//!   members; near the end the call that has waited longest gets what it needs first, if there is as much;
//! - what a renewal tells is the sum of all that calls have cost since the process began, so one that is lost, or comes
//!   twice or late, neither takes nor tells anything twice;
//! - what a process holds, its calls in flight included, counts as used until it has told what became of it. A process that
//!   leaves gives its slice back; of one that is killed all that it held is counted as used.
//!
//! So no day holds more than the limit for as long as the store answers and remembers. A quarter of an hour is forgotten as
//! a whole, by its end, which costs 1% of a limit that is always used up at the most.
//!
//! # When the store does not answer
//!
//! A process that cannot renew keeps its share until its lease has run out (7 to 45 s by default, by its own monotonic
//! clock, from before it last asked). Then it keeps to its **safe share**: the limit divided by the members that it was told
//! of last, or by [`members`](FleetBuilder::members) where that is more; for two windows at most what it had,
//! because others may have had more. [`Observe::store_lost`](crate::Observe::store_lost) and
//! [`store_back`](crate::Observe::store_back) are told, and a warning is logged. No call waits for the store itself,
//! except the first calls to a key, for four [timeouts](FleetBuilder::timeout) at most.
//!
//! Of tokens a day the safe share is an equal part of what was left when the store last answered, less what others held
//! then; after a day without a store, or where it has never answered, an equal part of the limit. It is never more than that
//! part of the limit less what the process has used in the last day by itself. What was used meanwhile is told when the
//! store is back, which gives nothing more away until all have told it, or for a minute. The observer is not told of a
//! day's store, which is that of the Region's minutes; the log is.
//!
//! # What can go beyond the limit, and how far
//!
//! - **A process that is cut off alone** for longer than its lease and the [`reserve`](FleetBuilder::reserve): its safe
//!   share, which others have been given by then. Of a day, its safe share from the end of its lease on.
//! - **The store down, of a day**: what others took between a member's last answer and their own, beyond what they held
//!   at the first: it counted on an equal part of that too.
//! - **A store that forgets** (`FLUSHALL`, a restart without persistence): members come with what they hold, and
//!   nothing is given away for a window once one of them has come. A process that is started in the moment between,
//!   before any old member has renewed, can be given what others hold. Of a day they tell what they have used by themselves,
//!   those who were idle when they are next called; what was used by processes that are no more is forgotten.
//! - **A failover that loses the last writes**: shares that were granted in them, if others are granted the same before
//!   their holders renew.
//! - **The store down when processes start**: each new one takes the limit divided by `members`. So does one whose
//!   worker is not run within four [timeouts](FleetBuilder::timeout) of its first call: spawn it before.
//! - **The server's clock set forward**, or a failover to a server whose clock is ahead, by more than a lease: what is
//!   leased counts as run out, until it is renewed.
//! - **A process that is suspended**, with its clock (a virtual machine, a function that is frozen), for longer than its
//!   lease: until it has renewed it goes on with what it had.
//! - **Settlement**: what calls cost beyond what they reserved. The process that made them works it off before its next
//!   call goes, and the others' shares shrink by it with their next renewals; until then they fill them. With a
//!   burndown of 5 and a `max_tokens` far below five times the usual output, a burst can earn some 429s. Of a day
//!   nothing is given away until that has left the window.
//!
//! The processes' clocks may differ by any amount, as no time of day leaves a process, and leases allow for speeds that
//! differ by a hundredth. A window is a minute and the
//! [delay variation](crate::LimiterBuilder::delay_variation), by each process's own clock. One that is fast by half a
//! thousandth, the most that NTP sets it to, may use again 30 ms early what it has used, which the delay variation makes
//! up for. The store must not evict its keys, which all have a time to live: choose `maxmemory-policy noeviction`, or
//! `allkeys-` ones only with memory enough.
//!
//! Of more than 256 processes the last to come get nothing until others have left or are forgotten.
//!
//! # What it costs
//!
//! Nothing on the path of a call that finds room. About one round trip for a hundred calls of each process that is
//! busy, one in 20 s for one that is not, and none for keys that nobody uses; as much for a Region whose tokens a day are
//! declared. In the store a key is one hash of a field for each process, of 256 at the most, which expires when nobody has
//! used it for some minutes; a Region's day is one more, of 97 fields for its quarters of an hour besides, which expires
//! when nobody has used it for a day.

mod attention;
mod day;
mod fair;
mod learnt;
mod leased;
mod ledger;
mod look;
mod member;
mod redis;
mod renewal;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

pub(crate) use self::{
    attention::Attention,
    day::{DayAward, DayClaim},
    leased::Leased,
    look::{Look, NoShares},
    member::{Change, Member, Sent},
    settings::Settings,
};
use self::{attention::Calls, look::Shares as _};
pub use self::{
    redis::RedisStore,
    renewal::{Answer, Renewal, StoreError},
    settings::FleetBuilder,
    store::{Answering, MemoryStore, Store},
    worker::Worker,
};
use crate::{
    day::{Day, Part},
    key::Key,
    meter::Joins,
    time::Time,
};

/// Processes that share their quotas: what [`LimiterBuilder::fleet`](crate::LimiterBuilder::fleet) is given.
///
/// # Clone
///
/// Clones are one member of the fleet, and equal.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

struct Shared {
    calls: Arc<Calls>,
    settings: Settings,
    keys: AtomicU64,
}

impl Fleet {
    /// Builds a fleet around a store.
    pub fn builder(store: impl Store) -> FleetBuilder {
        FleetBuilder::new(Arc::new(store))
    }

    pub(crate) fn new(calls: Arc<Calls>, settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                calls,
                settings,
                keys: AtomicU64::new(0),
            }),
        }
    }

    /// A key has been made, at `now`: its limits are the fleet's.
    pub(crate) fn add(&self, key: &Arc<Key>, now: Time) {
        let Shared {
            calls,
            settings,
            keys,
        } = &*self.shared;
        let joins = Joins {
            members: settings.members,
            patience: settings.patience(),
        };
        let mut shared = false;
        key.adjust(now, |state| {
            look::join(state.budget_mut(), joins, now);
            shared = look::is_shared(state.budget());
            if calls.is_over() {
                state.budget_mut().each_share(|_, _, share| share.resign());
            }
        });
        let number = keys.fetch_add(1, Relaxed);
        let leased: Weak<Key> = Arc::downgrade(key);
        let attention = Attention::new(Arc::clone(calls), leased, number);
        if shared {
            attention.call();
        }
        key.attend(attention);
    }

    /// A Region's day has been made, at `now`: its tokens are the fleet's.
    pub(crate) fn add_day(&self, day: &Arc<Day>, now: Time) {
        let Shared {
            calls,
            settings,
            keys,
        } = &*self.shared;
        let number = keys.fetch_add(1, Relaxed);
        let leased: Weak<Day> = Arc::downgrade(day);
        let attention = Attention::new(Arc::clone(calls), leased, number);
        let part = Part::new(day.limit(), settings.members, settings.patience(), now);
        day.share(attention, part);
        if calls.is_over() {
            day.resign();
        }
    }
}

impl PartialEq for Fleet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Fleet {}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("keys", &self.shared.keys.load(Relaxed))
            .finish_non_exhaustive()
    }
}
