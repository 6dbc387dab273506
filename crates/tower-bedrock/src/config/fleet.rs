use std::{fmt, fs, io, path::PathBuf};

use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock_core::{BoxError, Priority};
use tower_bedrock_quota::fleet::{Fleet, FleetBuilder, RedisStore, Worker};

use super::InvalidSection;

/// `[fleet]`: the store through which processes share their quotas. For a program that reads it beside a
/// [`StackConfig`](super::StackConfig), whose [`fleet`](super::StackConfig::fleet) it then sets.
///
/// ```
/// use tower_bedrock::config::{FleetConfig, StackConfig};
///
/// let config: FleetConfig = toml::from_str(r#"
///     store = "redis://127.0.0.1"   # or cluster = ["redis://...", ...]; or sentinels = [...], with their master = "..."
///     prefix = "tower-bedrock"      # what keys in the store begin with
///     members = 4                   # 1 to 256: how many processes there usually are
///     timeout = "500ms"             # 100ms to 5s: for one answer of the store
///     renew_every.least = "1s"      # 100ms to 25s: a lease is renewed so often at the most ...
///     renew_every.most = "20s"      # ... and so often at the least
///     reserve = "60s"               # up to 1h: for which the safe share of a silent process is kept
/// "#)?;
/// let (fleet, worker) = config.build()?;
/// let mut stack = StackConfig::default();
/// stack.fleet = Some(fleet);
/// # async fn spawn(worker: tower_bedrock::quota::fleet::Worker) {
/// tokio::spawn(worker.run());
/// # }
/// # drop(worker);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// `Debug` shows no address and no password.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FleetConfig {
    /// A single server: `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. This, `cluster` or
    /// `sentinels`.
    pub store: Option<String>,
    /// Nodes of a cluster.
    pub cluster: Vec<String>,
    /// Sentinels of the server that they call `master`. A user and a password in these addresses are the Sentinels'.
    pub sentinels: Vec<String>,
    /// What the Sentinels call the server.
    pub master: Option<String>,
    /// The user on the servers. Default: the address's.
    pub username: Option<String>,
    /// A file with the password on the servers, read before each connection to them that is made: it may change. Default:
    /// the address's.
    pub password_file: Option<PathBuf>,
    /// The password, where there is no file. Not in the configuration under this name: the application may have it from
    /// elsewhere.
    #[serde(skip)]
    pub password: Option<String>,
    /// A PEM file with the certificates that vouch for the servers. Default: the system's.
    #[cfg(feature = "redis-tls")]
    pub ca_certificate: Option<PathBuf>,
    /// What keys in the store begin with. Default: `tower-bedrock`.
    pub prefix: Option<String>,
    /// How many processes there usually are. Default: 4.
    pub members: Option<u64>,
    /// How urgent this process's work is beside the others'. Not in the file: several programs may have the same, and
    /// it is for each to know what it does. Default: [`Priority::Normal`].
    #[serde(skip)]
    pub priority: Priority,
    /// How long the store has for an answer. Default: 500 ms.
    #[serde(with = "humantime_serde")]
    pub timeout: Option<Duration>,
    /// How often a lease is renewed.
    pub renew_every: RenewEvery,
    /// For how long others keep from using the safe share of a process that has fallen silent. Default: 60 s.
    #[serde(with = "humantime_serde")]
    pub reserve: Option<Duration>,
}

/// `renew_every`: how often a lease is renewed. Between the two it is once for a hundred calls.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RenewEvery {
    /// At the most so often. Default: 1 s.
    #[serde(with = "humantime_serde")]
    pub least: Duration,
    /// At the least so often. Default: 20 s.
    #[serde(with = "humantime_serde")]
    pub most: Duration,
}

impl FleetConfig {
    /// The fleet, and the worker that is to be spawned. Reads the files that are named; asks no server yet.
    ///
    /// # Errors
    ///
    /// [`InvalidSection`] names the key, its value and what is accepted. It shows no address, and nothing of the files.
    pub fn build(&self) -> Result<(Fleet, Worker), InvalidSection> {
        let build = || -> Result<_, BoxError> {
            let mut store = self.store()?;
            if let Some(path) = &self.password_file {
                let path = path.clone();
                let read = move || -> io::Result<String> {
                    let text = fs::read_to_string(&path).map_err(|error| {
                        io::Error::new(error.kind(), unreadable("password_file", &path)(error))
                    })?;
                    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
                };
                read()?;
                store = store.with_password_from(read);
            } else if let Some(password) = &self.password {
                store = store.with_password(password);
            }
            #[cfg(feature = "redis-tls")]
            if let Some(path) = &self.ca_certificate {
                let pem = fs::read(path).map_err(unreadable("ca_certificate", path))?;
                store = store
                    .with_root_certificates(&pem)
                    .map_err(|error| format!("ca_certificate = {path:?}: {error}"))?;
            }
            Ok(self.builder(store).build()?)
        };
        build().map_err(InvalidSection::of("fleet"))
    }

    /// Whether it can be, as far as can be told without the files that it names.
    ///
    /// # Errors
    ///
    /// [`InvalidSection`], as of [`build`](Self::build).
    pub fn check(&self) -> Result<(), InvalidSection> {
        let check = || -> Result<_, BoxError> { Ok(self.builder(self.store()?).build()?) };
        check().map(drop).map_err(InvalidSection::of("fleet"))
    }

    fn store(&self) -> Result<RedisStore, BoxError> {
        // An empty list would be no more than an oversight.
        let lists = [&self.cluster, &self.sentinels].map(|list| !list.is_empty());
        let invalid = |key: &'static str| move |error| format!("{key}: {error}");
        let store = match (&self.store, lists, &self.master) {
            (Some(url), [false, false], None) => RedisStore::new(url).map_err(invalid("store"))?,
            (None, [true, false], None) => {
                RedisStore::cluster(&self.cluster).map_err(invalid("cluster"))?
            }
            (None, [false, true], Some(master)) => {
                RedisStore::sentinel(&self.sentinels, master).map_err(invalid("sentinels"))?
            }
            _ => {
                let what = "store, cluster, or sentinels with their master";
                return Err(format!("expected one of {what}, and nothing of another").into());
            }
        };
        Ok(match &self.username {
            Some(username) => store.with_username(username),
            None => store,
        })
    }

    fn builder(&self, store: RedisStore) -> FleetBuilder {
        let RenewEvery { least, most } = self.renew_every;
        let mut builder = Fleet::builder(store)
            .renew_every(least, most)
            .priority(self.priority);
        if let Some(prefix) = &self.prefix {
            builder = builder.prefix(prefix);
        }
        if let Some(members) = self.members {
            builder = builder.members(members);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(reserve) = self.reserve {
            builder = builder.reserve(reserve);
        }
        builder
    }
}

fn unreadable(key: &str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> String {
    move |error| format!("{key} = {path:?} cannot be read: {error}")
}

impl Default for RenewEvery {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(1),
            most: Duration::from_secs(20),
        }
    }
}

impl fmt::Debug for FleetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetConfig")
            .field("master", &self.master)
            .field("prefix", &self.prefix)
            .field("members", &self.members)
            .field("timeout", &self.timeout)
            .field("renew_every", &self.renew_every)
            .field("reserve", &self.reserve)
            .finish_non_exhaustive()
    }
}
