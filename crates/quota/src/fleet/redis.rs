use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError, Script,
    aio::MultiplexedConnection,
};
use tokio::sync::Mutex;

use super::{Answer, Answering, Renewal, Store, StoreError};
use crate::InvalidConfig;

/// Redis or Valkey, a single server or the one that an address leads to. From Redis 5 on.
///
/// One connection, made when it is first needed and again after it has failed. Every renewal is one call of a
/// script, which goes by the server's clock.
///
/// # Clone
///
/// Clones share the connection.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    script: Script,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// Whether a call was given up before its answer came: the connection may be dead, and nobody has noticed.
    doubtful: AtomicBool,
}

/// Casts doubt on the connection when it is dropped, unless that has been dispelled.
struct Doubt<'a>(&'a AtomicBool, bool);

impl Doubt<'_> {
    fn ends(mut self, well: bool) {
        self.1 = !well;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.store(true, Relaxed);
        }
    }
}

impl RedisStore {
    /// The server at `redis://[user:password@]host[:port][/database]`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where that is no address. The address is not shown: it may hold a password.
    pub fn new(url: &str) -> Result<Self, InvalidConfig> {
        let invalid = |_: RedisError| {
            InvalidConfig::new(
                "the store's address",
                "none (not shown: it may hold a password)",
                "redis://[user:password@]host[:port][/database]",
            )
        };
        let client = Client::open(url.into_connection_info().map_err(invalid)?).map_err(invalid)?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                script: Script::new(Self::SCRIPT),
                connection: Mutex::new(None),
                doubtful: AtomicBool::new(false),
            }),
        })
    }

    /// What the store runs, for whoever calls it in another way.
    #[doc(hidden)]
    pub const SCRIPT: &str = include_str!("ledger.lua");

    /// One call of the script, at the server's time or at `now`.
    pub(super) async fn call(
        &self,
        key: &str,
        renewal: &Renewal,
        now: Option<u64>,
    ) -> Result<Answer, StoreError> {
        let mut connection = self.connection().await?;
        let doubt = Doubt(&self.shared.doubtful, true);
        let mut call = self.shared.script.key(key);
        for argument in renewal.arguments(now) {
            call.arg(argument);
        }
        let numbers: Result<Vec<u64>, RedisError> = call.invoke_async(&mut connection).await;
        // A connection that is whole may still lead to a server that became a replica.
        doubt.ends(numbers.is_ok());
        Answer::from_numbers(&numbers.map_err(|error| failed(&error))?)
    }

    async fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut connection = self.shared.connection.lock().await;
        if self.shared.doubtful.swap(false, Relaxed) {
            connection.take();
        }
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        // The worker has a limit of its own.
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let client = &self.shared.client;
        let new = client.get_multiplexed_async_connection_with_config(&patient);
        let new = new.await.map_err(|error| failed(&error))?;
        Ok(connection.insert(new).clone())
    }
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
