//! Redis and Valkey.

mod place;

use std::{
    fmt,
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, cmd};
use tokio::time::{Duration, Instant, timeout};

use self::place::{Connection, Place};
use super::{Answer, Answering, Renewal, Store, StoreError, day, ledger};
use crate::InvalidConfig;

/// A node that is up, and near, has answered by then. Less than the least time that a store is given for an answer.
const SHORTLY: Duration = Duration::from_millis(50);
/// For how long a connection to a cluster's nodes is not replaced by another one.
const YOUNG: Duration = Duration::from_secs(5);

/// Redis from version 5 on (tested with 7), or any Valkey: a single server, a cluster, or what Sentinels watch.
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
    /// Of keys, and of days.
    scripts: [Script; 2],
    /// The connection, and which one it is: from one on.
    connection: Mutex<Option<Numbered>>,
    /// Held by who makes one.
    making: tokio::sync::Mutex<()>,
    /// The latest connection a call of which failed, or was given up before its answer came: it may be dead, and nobody
    /// has noticed, or lead to a server that has become a replica.
    doubtful: AtomicU64,
}

type Numbered = (u64, Connection, Instant);

/// Casts doubt on the latest connection that was asked when it is dropped, unless that has been dispelled.
struct Doubt<'a> {
    doubtful: &'a AtomicU64,
    asked: AtomicU64,
}

impl Doubt<'_> {
    fn dispel(mut self) {
        *self.asked.get_mut() = 0;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.doubtful.fetch_max(*self.asked.get_mut(), Relaxed);
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

    /// The cluster that these nodes are of; one that answers is enough. They have the same user and password. A node
    /// that takes longer than 250 ms to be reached counts as down; meanwhile the others' keys are renewed as ever.
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
        let password = password.into();
        self.with_password_from(move || Ok(password.clone()))
    }

    /// Asks for the password on the servers before each connection that is made, so that it may change: servers keep
    /// the connections that they have, and whatever fails is made anew. What is asked must be quick: it blocks, as the
    /// reading of a small file does. Its error is shown in logs.
    #[must_use]
    pub fn with_password_from(
        self,
        password: impl Fn() -> io::Result<String> + Send + Sync + 'static,
    ) -> Self {
        Self::at(self.place.with_password(Arc::new(password)))
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
                scripts: [ledger::SCRIPT, day::SCRIPT].map(Script::new),
                connection: Mutex::new(None),
                making: tokio::sync::Mutex::new(()),
                doubtful: AtomicU64::new(0),
            }),
        }
    }

    /// One call of the script, at the server's time or at `now`.
    pub(super) async fn call(
        &self,
        key: &str,
        renewal: &Renewal,
        now: Option<u64>,
    ) -> Result<Answer, StoreError> {
        let arguments = renewal.arguments(now);
        let shared = &*self.shared;
        let doubt = Doubt {
            doubtful: &shared.doubtful,
            asked: AtomicU64::new(0),
        };
        let ask = async |(number, mut connection, _): Numbered| {
            doubt.asked.fetch_max(number, Relaxed);
            let call = |command: &str, script: &str| {
                let mut call = cmd(command);
                call.arg(script).arg(1).arg(key).arg(&arguments);
                call
            };
            let script = &shared.scripts[usize::from(renewal.day.is_some())];
            let by_hash = call("EVALSHA", script.get_hash());
            let numbers = connection.ask(&by_hash).await;
            if numbers.as_ref().is_err_and(is_unknown_script) {
                // On this server alone, and no more than once: others of a cluster may be down.
                let whole: Cmd = call("EVAL", renewal.script());
                return connection.ask(&whole).await;
            }
            numbers
        };
        let anew = async || ask(self.connect().await?).await;
        let known = shared.connection.lock().clone();
        let numbers = match known {
            Some(known) if shared.is_sound(&known) => ask(known).await,
            // What one node's keys fail for is nothing that the others' should wait for. Nor should they open another
            // connection for it: that is begun where the old one fails, or is slow.
            Some(known) if known.1.is_of_nodes() => {
                let mut old = pin!(ask(known));
                match timeout(SHORTLY, &mut old).await {
                    Ok(Ok(numbers)) => Ok(numbers),
                    Ok(Err(_)) => anew().await,
                    Err(_) => either(old, anew()).await,
                }
            }
            _ => anew().await,
        };
        // A server that refuses, for want of memory perhaps, is there: another connection would be refused as well.
        let is_there = match &numbers {
            Ok(_) => true,
            Err(error) => is_refusal(error),
        };
        if is_there {
            doubt.dispel();
        }
        let numbers = numbers.map_err(|error| StoreError::Failed(error.to_string()))?;
        Answer::from_numbers(&numbers)
    }

    /// A connection that nothing has failed on.
    async fn connect(&self) -> RedisResult<Numbered> {
        let shared = &*self.shared;
        let _making = shared.making.lock().await;
        let known = shared.connection.lock().clone();
        if let Some(known) = known.filter(|known| shared.is_sound(known) || is_young(known)) {
            return Ok(known);
        }
        let doubtful = shared.doubtful.load(Relaxed);
        let connection = self.place.connect().await?;
        let new = (doubtful + 1, connection, Instant::now());
        *shared.connection.lock() = Some(new.clone());
        Ok(new)
    }
}

impl Shared {
    fn is_sound(&self, (number, ..): &Numbered) -> bool {
        *number > self.doubtful.load(Relaxed)
    }
}

/// One to a cluster connects to each node by itself, again and again. While a node is down, others would not do better.
fn is_young((_, connection, made): &Numbered) -> bool {
    connection.is_of_nodes() && made.elapsed() < YOUNG
}

/// Whatever comes first of two answers, or the last one's error.
async fn either<T>(
    one: impl Future<Output = RedisResult<T>>,
    other: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    match select(pin!(one), pin!(other)).await {
        Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(_), other)) => other.await,
        Either::Right((Err(_), one)) => one.await,
    }
}

/// An answer that has nothing to do with which server gave it.
fn is_refusal(error: &RedisError) -> bool {
    // Who is asked to log in has to connect anew for it.
    error.code() != Some("NOAUTH")
        && matches!(
            error.kind(),
            ErrorKind::Extension | ErrorKind::Server(ServerErrorKind::ResponseError)
        )
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
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
