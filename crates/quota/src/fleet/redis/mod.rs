//! Redis and Valkey.

mod place;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, cmd};
use tokio::sync::Mutex;

use self::place::{Connection, Place};
use super::{Answer, Answering, Renewal, Store, StoreError};
use crate::InvalidConfig;

/// Redis or Valkey, from Redis 5 on: a single server, a cluster, or what Sentinels watch.
///
/// ```
/// # use tower_bedrock_quota::{InvalidConfig, fleet::RedisStore};
/// let single = RedisStore::new("redis://redis.internal")?;
/// let cluster = RedisStore::cluster(["redis://one.internal", "redis://two.internal"])?;
/// let watched = RedisStore::sentinel(["redis://one.internal:26379"], "mymaster")?.with_password("...");
/// # Ok::<(), InvalidConfig>(())
/// ```
///
/// One connection (to each node of a cluster one), made when it is first needed and again after anything has failed.
/// Every renewal is one call of a script, which goes by the server's clock; all that belongs to a key is in one slot.
///
/// Addresses are `redis://[user:password@]host[:port][/database]`. With the feature `redis-tls` they may be
/// `rediss://` for TLS: the system's root certificates vouch for the servers, or
/// [those that are given](Self::with_root_certificates). Where the process has no default provider of cryptography yet,
/// `aws-lc-rs` becomes it.
///
/// # Clone
///
/// Clones share the connection.
#[derive(Clone)]
pub struct RedisStore {
    place: Place,
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    /// The connection, and which one it is.
    connection: Mutex<Option<(u64, Connection)>>,
    /// The latest connection a call of which failed, or was given up before its answer came: it may be dead, and nobody
    /// has noticed, or lead to a server that has become a replica.
    doubtful: AtomicU64,
}

/// Casts doubt on a connection when it is dropped, unless that has been dispelled.
struct Doubt<'a> {
    doubtful: &'a AtomicU64,
    connection: u64,
}

impl Doubt<'_> {
    fn dispel(mut self) {
        self.connection = 0;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.doubtful.fetch_max(self.connection, Relaxed);
    }
}

impl RedisStore {
    /// The server at an address, or the one that the address leads to at the time.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where that is no address. The address is not shown: it may hold a password.
    pub fn new(url: &str) -> Result<Self, InvalidConfig> {
        Ok(Self::at(Place::server(url)?))
    }

    /// The cluster that these nodes are of; one that answers is enough. They have the same user and password.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where there is none, where one is no address, or where they differ in what they must not. No
    /// address is shown.
    pub fn cluster(urls: impl IntoIterator<Item: AsRef<str>>) -> Result<Self, InvalidConfig> {
        Ok(Self::at(Place::cluster(urls)?))
    }

    /// The server that Sentinels at these addresses (port 26379 by default) call `master`. A user and a password in the
    /// addresses are the Sentinels', and the same for each; the servers' are given with
    /// [`with_password`](Self::with_password). A database is the servers'; they have TLS where the Sentinels have it.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where there is none, or where one is no address. No address is shown.
    pub fn sentinel(
        urls: impl IntoIterator<Item: AsRef<str>>,
        master: &str,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self::at(Place::sentinel(urls, master)?))
    }

    /// The user on the servers, in the place of that in the address.
    #[must_use]
    pub fn with_username(self, username: impl Into<String>) -> Self {
        Self::at(self.place.with_username(username.into()))
    }

    /// The password on the servers, in the place of that in the address.
    #[must_use]
    pub fn with_password(self, password: impl Into<String>) -> Self {
        Self::at(self.place.with_password(password.into()))
    }

    /// The certificates that vouch for the servers, as PEM, in the place of the system's.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where that is no PEM, and where an address is not `rediss://`.
    #[cfg(feature = "redis-tls")]
    pub fn with_root_certificates(self, pem: &[u8]) -> Result<Self, InvalidConfig> {
        Ok(Self::at(self.place.with_root_certificates(pem)?))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            shared: Arc::new(Shared {
                script: Script::new(Self::SCRIPT),
                connection: Mutex::new(None),
                doubtful: AtomicU64::new(0),
            }),
        }
    }

    /// What the store runs, for whoever calls it in another way.
    #[doc(hidden)]
    pub const SCRIPT: &str = include_str!("../ledger.lua");

    /// One call of the script, at the server's time or at `now`.
    pub(super) async fn call(
        &self,
        key: &str,
        renewal: &Renewal,
        now: Option<u64>,
    ) -> Result<Answer, StoreError> {
        let (number, mut connection) = self.connection().await?;
        let doubt = Doubt {
            doubtful: &self.shared.doubtful,
            connection: number,
        };
        let arguments = renewal.arguments(now);
        let call = |command: &str, script: &str| {
            let mut call = cmd(command);
            call.arg(script).arg(1).arg(key).arg(&arguments);
            call
        };
        let by_hash = call("EVALSHA", self.shared.script.get_hash());
        let mut numbers = connection.ask(&by_hash).await;
        if numbers.as_ref().is_err_and(is_unknown_script) {
            // On this server alone, and no more than once: others of a cluster may be down.
            let whole: Cmd = call("EVAL", Self::SCRIPT);
            numbers = connection.ask(&whole).await;
        }
        let numbers = numbers.map_err(|error| failed(&error))?;
        doubt.dispel();
        Answer::from_numbers(&numbers)
    }

    /// The connection, and which one it is: from one on.
    async fn connection(&self) -> Result<(u64, Connection), StoreError> {
        let mut connection = self.shared.connection.lock().await;
        let doubtful = self.shared.doubtful.load(Relaxed);
        if let Some((number, connection)) = &*connection
            && *number > doubtful
        {
            return Ok((*number, connection.clone()));
        }
        *connection = None;
        let new = self.place.connect().await.map_err(|error| failed(&error))?;
        Ok(connection.insert((doubtful + 1, new)).clone())
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn failed(error: &RedisError) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl Store for RedisStore {
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a> {
        Box::pin(self.call(key, renewal, None))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}
