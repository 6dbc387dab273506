//! The stores that the fleet meets at, and the links to them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::{Context as _, Result};
use redis::{Client, Connection, Script};
use tokio::time::{Duration, Instant, sleep};
use tower_bedrock::quota::fleet::{Answer, Answering, MemoryStore, Renewal, Store, StoreError};

use crate::shared::Shared;

#[path = "../../../crates/quota/tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the quota's tests")]
mod redis_server;

pub(super) use self::redis_server::RedisServer;

/// A real server that keeps the simulation's time: its script is called with that, and nothing else happens until
/// it has answered.
#[derive(Clone)]
pub(super) struct Served {
    connection: Shared<Connection>,
    start: Instant,
}

impl Served {
    /// A server of its own; `None` where none is installed.
    pub(super) fn start() -> Result<Option<(RedisServer, Self)>> {
        let installed = std::env::var_os("TOWER_BEDROCK_REDIS_SERVER").is_some()
            || std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|folder| is_there(&folder)));
        if !installed {
            return Ok(None);
        }
        let server = RedisServer::start();
        let client = Client::open(server.url())?;
        let store = Self {
            connection: Shared::new(client.get_connection()?),
            start: Instant::now(),
        };
        Ok(Some((server, store)))
    }

    fn call(&self, key: &str, renewal: &Renewal) -> redis::RedisResult<Vec<u64>> {
        // Any time of day will do.
        let now = 1_700_000_000_000 + self.start.elapsed().as_millis() as u64;
        let script = Script::new(renewal.script());
        let mut call = script.key(key);
        for argument in renewal.arguments(Some(now)) {
            call.arg(argument);
        }
        self.connection.with(|connection| call.invoke(connection))
    }

    /// The calls of the script that the server itself has counted.
    pub(super) fn round_trips(&self) -> Result<u64> {
        let stats: String = self
            .connection
            .with(|connection| redis::cmd("INFO").arg("commandstats").query(connection))?;
        let calls = stats
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_eval")?.split_once("calls="))
            .filter_map(|(_, rest)| rest.split_once(',')?.0.parse::<u64>().ok());
        Some(calls.sum()).context("the server counts no calls")
    }
}

fn is_there(folder: &Path) -> bool {
    folder.join("redis-server").exists()
}

impl Store for Served {
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a> {
        Box::pin(async move {
            let numbers = self.call(key, renewal);
            let numbers = numbers.map_err(|error| StoreError::Failed(error.to_string()))?;
            Answer::from_numbers(&numbers)
        })
    }
}

/// Where a fleet meets.
#[derive(Clone)]
pub(super) enum Meeting {
    Memory(MemoryStore),
    Server(Served),
}

/// A process's link to the store, which can be cut.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) store: Meeting,
    pub(super) cut: Arc<AtomicBool>,
}

impl Store for Link {
    fn renew<'a>(&'a self, key: &'a str, renewal: &'a Renewal) -> Answering<'a> {
        Box::pin(async move {
            while self.cut.load(Relaxed) {
                sleep(Duration::from_millis(50)).await;
            }
            match &self.store {
                Meeting::Memory(store) => store.renew(key, renewal).await,
                Meeting::Server(store) => store.renew(key, renewal).await,
            }
        })
    }
}
