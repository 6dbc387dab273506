//! What the gateway is told: a TOML file, and flags that go before it.
//!
//! ```
//! use bedrock_gateway::config::{Config, Flags};
//!
//! let file = r#"
//!     listen = "127.0.0.1:8080"
//!     [upstream]
//!     kind = "aws"
//!     regions = ["us-east-1", "us-west-2"]
//! "#;
//! let config = Config::parse(file, &Flags::default())?;
//! assert_eq!(config.upstream.regions.default().as_str(), "us-east-1");
//!
//! let error = Config::parse("[upstream]\nkind = \"azure\"", &Flags::default()).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     r#"upstream.kind = "azure" is not valid: expected "sim", "aws" or "endpoint""#
//! );
//! # Ok::<(), bedrock_gateway::config::InvalidConfig>(())
//! ```

mod check;
mod file;

use std::{fmt, net::SocketAddr, path::PathBuf};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use serde::Deserialize;
use tokio::time::Duration;
use tower_bedrock::config::{FleetConfig, StackConfig};
use tower_bedrock_core::{Priority, Region};

pub use self::check::InvalidConfig;

/// A configuration that has been checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `listen`: where clients connect. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `[tls]`. Without it, plain HTTP.
    pub tls: Option<Tls>,
    /// `[upstream]`
    pub upstream: Upstream,
    /// `[[client]]`: who may use the gateway. None: whoever can reach it, and then it only listens on a
    /// loopback address.
    pub clients: Vec<Client>,
    /// `[server]`
    pub server: Server,
    /// `[retry]`, `[breaker]`, `[timeout]`, `[[quota]]` and `[[fallback]]`; the clients' shares of a quota.
    pub stack: StackConfig,
    /// `[fleet]`: the store through which gateways share the quotas. Without it, they are this gateway's alone.
    pub fleet: Option<FleetConfig>,
    /// `[cache]`. Without it, no answer is kept.
    pub cache: Option<CacheConfig>,
    /// `[metrics]`. Without it, nobody can read any.
    pub metrics: Option<Metrics>,
    /// `[cloudwatch]`. Without it, none are sent there.
    pub cloudwatch: Option<CloudWatch>,
    /// `[otlp]`. Without it, no traces are sent, and those of callers are passed on as they are.
    pub otlp: Option<Otlp>,
}

/// `[cache]`: answers that are kept, and when they are given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CacheConfig {
    /// `max_bytes`: what kept answers may take. Default 64 MiB, at least 1,024.
    pub max_bytes: u64,
    /// `fresh_for`: how old an answer may be to be given instead of asking Bedrock. Default zero: always asks.
    #[serde(with = "humantime_serde")]
    pub fresh_for: Duration,
    /// `stale_for`: how old an answer may be to be given when everything else has failed. Default a day; zero:
    /// never.
    #[serde(with = "humantime_serde")]
    pub stale_for: Duration,
    /// `share_in_flight`: whether identical calls of one client that are made at once are one. Default `false`.
    pub share_in_flight: bool,
}

/// `[metrics]`: where Prometheus reads metrics. Whoever reaches it may: it tells of models, Regions, quotas and
/// numbers, never of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// `listen`: where `GET /metrics` is answered, and nothing else. Default `127.0.0.1:9464`.
    pub listen: SocketAddr,
}

/// `[cloudwatch]`: metrics sent to Amazon CloudWatch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloudWatch {
    /// `namespace`: what they are filed under. Default `GenAI/Application`.
    pub namespace: String,
    /// `period`: how often they are sent, a second to an hour. Default 60 s, CloudWatch's own resolution.
    pub period: Duration,
    /// `region`: the Region they are sent to. Default: the first of `upstream.regions`.
    pub region: Region,
}

/// `[otlp]`: traces sent to an OpenTelemetry collector, over HTTP as protobuf.
///
/// The gateway continues its callers' traces, and its calls to Bedrock are part of them. What sends is
/// [`Traces`](crate::Traces): the program has it installed, and whoever embeds a [`Gateway`](crate::Gateway) does so.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Otlp {
    /// `endpoint`: the collector's URL, below which `/v1/traces` takes them. Default `http://127.0.0.1:4318`.
    pub endpoint: Uri,
    /// `service_name`: what the gateway is called in traces. Default `bedrock-gateway`.
    pub service_name: String,
    /// `sample_ratio`: the share of traces that are sent, of those that begin here: 0.0 to 1.0. Default 1.0. A trace
    /// that a caller has begun is sent where the caller has its part sent.
    pub sample_ratio: f64,
}

/// `[tls]`: what clients check that they talk to the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tls {
    /// `certificate`: a PEM file with the certificate, and after it those that vouch for it.
    pub certificate: PathBuf,
    /// `key`: a PEM file with the certificate's private key.
    pub key: PathBuf,
}

/// `[upstream]`: where calls go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upstream {
    /// `kind`, and what belongs to it.
    pub kind: UpstreamKind,
    /// `regions`: the Regions served. The first is that of clients who name none. Default: the one that
    /// the environment names, else `us-east-1`.
    pub regions: Regions,
}

/// `kind`: what answers the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamKind {
    /// `"sim"`, the default: a simulator in this process, listening on `sim_listen` (default
    /// `127.0.0.1:9090`).
    Sim(SocketAddr),
    /// `"aws"`: Amazon Bedrock.
    Aws,
    /// `"endpoint"`: whatever answers at the URL that `endpoint` has.
    Endpoint(Scheme, Authority),
}

/// The Regions served: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    default: Region,
    others: Vec<Region>,
}

/// `[[client]]`: who may use the gateway. `Debug` does not show the hash.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// `name`: what the client is called in logs and shares.
    pub name: String,
    /// `key_sha256`: the SHA-256 of the key that the client sends as a bearer token.
    pub key_sha256: [u8; 32],
    /// `priority`: `"interactive"`, `"normal"` or `"batch"`. Where calls wait for a quota, a more urgent class
    /// goes first. Default `"normal"`.
    pub priority: Priority,
    /// `share`: what its part of a quota is in proportion to, among waiting clients of one priority: 1 to 1000.
    /// Default 1.
    pub share: u32,
}

/// `[server]`: what clients are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Server {
    /// `max_connections`: connections served at once; more wait to be accepted. Default 1,024.
    pub max_connections: usize,
    /// `max_body_bytes`: the largest request. Default 25,000,000, as Bedrock has it.
    pub max_body_bytes: usize,
    /// `max_buffered_bytes`: what all bodies held at once may take. Default 256 MiB.
    pub max_buffered_bytes: usize,
    /// `idle_timeout`: how long a connection may wait for the head of a request to be complete. Default
    /// 75 s, longer than SDKs keep an idle connection.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// `body_timeout`: how long a request's body may take. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// `write_timeout`: how long a client may take nothing of what is sent to it. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// `drain_timeout`: how long calls may go on once the gateway has been told to stop. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

/// Command-line flags, which go before the file, and what the environment adds to it. `Debug` shows no password.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<String>,
    /// `--upstream`: `sim`, `aws` or a URL.
    pub upstream: Option<String>,
    /// The Region in `AWS_REGION`, for a file that names none.
    pub aws_region: Option<String>,
    /// The password in `BEDROCK_GATEWAY_FLEET_PASSWORD`, for a `[fleet]` without a `password_file`.
    pub fleet_password: Option<String>,
}

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the key, its value and what is accepted.
    pub fn parse(toml: &str, flags: &Flags) -> Result<Self, InvalidConfig> {
        file::File::parse(toml)?.check(flags)
    }
}

impl Regions {
    pub(crate) const fn new(default: Region, others: Vec<Region>) -> Self {
        Self { default, others }
    }

    /// The Region of clients who name none.
    #[must_use]
    pub const fn default(&self) -> &Region {
        &self.default
    }

    /// The Region of that name, where it is served.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Region> {
        self.iter().find(|region| region.as_str() == name)
    }

    /// All of them, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Region> {
        std::iter::once(&self.default).chain(&self.others)
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024 * 1024,
            fresh_for: Duration::ZERO,
            stale_for: Duration::from_secs(86_400),
            share_in_flight: false,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            max_connections: 1_024,
            max_body_bytes: 25_000_000,
            max_buffered_bytes: 256 * 1024 * 1024,
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags")
            .field("listen", &self.listen)
            .field("upstream", &self.upstream)
            .field("aws_region", &self.aws_region)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .field("priority", &self.priority)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Regions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.default.fmt(f)?;
        self.others
            .iter()
            .try_for_each(|region| write!(f, ", {region}"))
    }
}
