//! Where the store is, and how it is reached.

use std::{io, sync::Arc};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisError, RedisResult, TlsMode,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::time::Duration;

use crate::InvalidConfig;

/// Where the store is. Never shown: it may hold passwords.
#[derive(Clone)]
pub(super) struct Place {
    kind: Kind,
    /// One at least.
    addresses: Vec<ConnectionInfo>,
    username: Option<String>,
    password: Option<Password>,
    #[cfg(feature = "redis-tls")]
    roots: Option<redis::TlsCertificates>,
}

type Password = Arc<dyn Fn() -> io::Result<String> + Send + Sync>;

#[derive(Clone)]
enum Kind {
    Server,
    Cluster,
    /// The addresses are Sentinels', which know the server by this name.
    Sentinel(String),
}

#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

const SENTINEL_PORT: &str = "26379";
/// A node that is down must not use up the time that the others have for their answers.
const TO_REACH_A_NODE: Duration = Duration::from_millis(250);
/// To where a slot has moved, and once more. The worker tries again by itself.
const RETRIES: u32 = 2;
/// The worker has a limit of its own, which is shorter.
const TO_ANSWER: Duration = Duration::from_secs(10);

impl Connection {
    /// Whether it is many, each of which is made anew when it fails.
    pub(super) const fn is_of_nodes(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    pub(super) async fn ask(&mut self, call: &Cmd) -> RedisResult<Vec<u64>> {
        match self {
            Self::Server(connection) => call.query_async(connection).await,
            Self::Cluster(connection) => call.query_async(connection).await,
        }
    }
}

impl Place {
    pub(super) fn server(url: &str) -> Result<Self, InvalidConfig> {
        Self::new(Kind::Server, vec![address(url)?])
    }

    pub(super) fn cluster(
        urls: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<Self, InvalidConfig> {
        let urls = urls.into_iter().map(|url| address(url.as_ref()));
        Self::new(Kind::Cluster, urls.collect::<Result<_, _>>()?)
    }

    pub(super) fn sentinel(
        urls: impl IntoIterator<Item: AsRef<str>>,
        master: &str,
    ) -> Result<Self, InvalidConfig> {
        let urls = urls.into_iter().map(|url| {
            let url = url.as_ref();
            address(&with_port(url, SENTINEL_PORT).unwrap_or_else(|| url.to_owned()))
        });
        let kind = Kind::Sentinel(master.to_owned());
        Self::new(kind, urls.collect::<Result<_, _>>()?)
    }

    fn new(kind: Kind, addresses: Vec<ConnectionInfo>) -> Result<Self, InvalidConfig> {
        let place = Self {
            kind,
            addresses,
            username: None,
            password: None,
            #[cfg(feature = "redis-tls")]
            roots: None,
        };
        // All of them are spoken to as the first is: none that asks for TLS may be spoken to without, and none is told
        // another's password.
        let (first, others) = place.addresses.split_first().ok_or_else(unusable)?;
        if others.iter().any(|other| manner(other) != manner(first)) {
            return Err(unusable());
        }
        #[cfg(feature = "redis-tls")]
        if place.tls().is_some() {
            choose_provider();
        }
        place.check().map_err(|_| unusable())?;
        Ok(place)
    }

    pub(super) fn with_username(mut self, username: String) -> Self {
        self.username = Some(username);
        self
    }

    pub(super) fn with_password(mut self, password: Password) -> Self {
        self.password = Some(password);
        self
    }

    #[cfg(feature = "redis-tls")]
    pub(super) fn with_root_certificates(mut self, pem: &[u8]) -> Result<Self, InvalidConfig> {
        use rustls::pki_types::{CertificateDer, pem::PemObject as _};

        let invalid = |value: &str| {
            let expected =
                "PEM with one certificate at least, and rediss:// addresses without #insecure";
            InvalidConfig::new("the root certificates", value, expected)
        };
        // One that cannot be read is an error; that there is none would be found out by every connection.
        if !matches!(CertificateDer::pem_slice_iter(pem).next(), Some(Ok(_))) {
            return Err(invalid("without a certificate"));
        }
        match self.tls() {
            None => return Err(invalid("of an address without TLS")),
            // They would vouch for nothing.
            Some(TlsMode::Insecure) => return Err(invalid("of an address with #insecure")),
            Some(_) => {}
        }
        self.roots = Some(redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(pem.to_owned()),
        });
        self.check().map_err(|_| invalid("not valid"))?;
        Ok(self)
    }

    /// Whether connections can be made as far as can be told without one.
    fn check(&self) -> RedisResult<()> {
        match &self.kind {
            Kind::Server => drop(self.client(None)?),
            Kind::Cluster => drop(self.cluster_client(None)?),
            Kind::Sentinel(master) => drop(self.sentinel_client(master, None)?),
        }
        Ok(())
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        // The worker has a limit of its own.
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let password = self.password.as_ref().map(|ask| ask()).transpose()?;
        let password = password.as_deref();
        Ok(match &self.kind {
            Kind::Server => {
                let client = self.client(password)?;
                let connection = client.get_multiplexed_async_connection_with_config(&patient);
                Connection::Server(connection.await?)
            }
            Kind::Cluster => {
                let client = self.cluster_client(password)?;
                Connection::Cluster(client.get_async_connection().await?)
            }
            Kind::Sentinel(master) => {
                let mut client = self.sentinel_client(master, password)?;
                let connection = client.get_async_connection_with_config(&patient);
                Connection::Server(connection.await?)
            }
        })
    }

    fn client(&self, password: Option<&str>) -> RedisResult<Client> {
        let address = self.first()?;
        let mut settings = address.redis_settings().clone();
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let address = address.clone().set_redis_settings(settings);
        #[cfg(feature = "redis-tls")]
        if let Some(roots) = &self.roots {
            return Client::build_with_tls(address, roots.clone());
        }
        Client::open(address)
    }

    fn cluster_client(&self, password: Option<&str>) -> RedisResult<ClusterClient> {
        let mut builder = ClusterClient::builder(self.addresses.clone())
            .connection_timeout(TO_REACH_A_NODE)
            .retries(RETRIES)
            .response_timeout(TO_ANSWER);
        if let Some(username) = &self.username {
            builder = builder.username(username);
        }
        if let Some(password) = password {
            builder = builder.password(password);
        }
        #[cfg(feature = "redis-tls")]
        if let Some(roots) = &self.roots {
            builder = builder.certs(roots.clone());
        }
        builder.build()
    }

    fn sentinel_client(&self, master: &str, password: Option<&str>) -> RedisResult<SentinelClient> {
        let first = self.first()?;
        let addresses = self.addresses.iter().map(|at| at.addr().clone());
        let mut builder =
            SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
                .set_client_to_redis_db(first.redis_settings().db());
        if let Some(username) = first.redis_settings().username() {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = first.redis_settings().password() {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(tls) = self.tls() {
            builder = builder
                .set_client_to_redis_tls_mode(tls)
                .set_client_to_sentinel_tls_mode(tls);
        }
        #[cfg(feature = "redis-tls")]
        if let Some(roots) = &self.roots {
            builder = builder
                .set_client_to_redis_certificates(roots.clone())
                .set_client_to_sentinel_certificates(roots.clone());
        }
        builder.build()
    }

    fn first(&self) -> RedisResult<&ConnectionInfo> {
        let none = "there is no address";
        let none = || RedisError::from((redis::ErrorKind::InvalidClientConfig, none));
        self.addresses.first().ok_or_else(none)
    }

    fn tls(&self) -> Option<TlsMode> {
        match self.addresses.first()?.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => Some(TlsMode::Insecure),
            ConnectionAddr::TcpTls { .. } => Some(TlsMode::Secure),
            _ => None,
        }
    }
}

/// How a server is spoken to, and as whom.
fn manner(at: &ConnectionInfo) -> impl PartialEq + use<'_> {
    let settings = at.redis_settings();
    (
        std::mem::discriminant(at.addr()),
        matches!(at.addr(), ConnectionAddr::TcpTls { insecure: true, .. }),
        settings.username(),
        settings.password(),
    )
}

fn address(url: &str) -> Result<ConnectionInfo, InvalidConfig> {
    url.into_connection_info().map_err(|_| unusable())
}

/// The address with this port where it names none; `None` where it needs nothing, or is no address.
fn with_port(url: &str, port: &str) -> Option<String> {
    let authority = url.find("://")? + 3;
    let end = url[authority..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| authority + at);
    let host = &url[authority..end];
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    // The colons of an IPv6 address stand in brackets.
    let named = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    (!named.contains(':')).then(|| format!("{}:{port}{}", &url[..end], &url[end..]))
}

fn unusable() -> InvalidConfig {
    let expected = if cfg!(feature = "redis-tls") {
        "redis:// or rediss://[user:password@]host[:port][/database], one at least, and all of one kind, user and password"
    } else {
        "redis://[user:password@]host[:port][/database], one at least, and all of one kind, user and password"
    };
    InvalidConfig::new(
        "the store's address",
        "none that can be used (not shown: it may hold a password)",
        expected,
    )
}

/// The client takes the process's provider of cryptography. Where several are compiled in and none was chosen, it
/// panics.
#[cfg(feature = "redis-tls")]
fn choose_provider() {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    if CryptoProvider::get_default().is_none() {
        // Whoever was quicker has chosen.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn sentinels_have_a_port_of_their_own() {
        for (url, with) in [
            ("redis://one", Some("redis://one:26379")),
            ("redis://u:p@one/2", Some("redis://u:p@one:26379/2")),
            ("rediss://[::1]", Some("rediss://[::1]:26379")),
            ("redis://[::1]:7", None),
            ("redis://one:7/2", None),
            ("one", None),
        ] {
            assert_eq!(with_port(url, "26379").as_deref(), with, "{url}");
        }
    }
}
