//! The HTTP client: connections to Bedrock and to collectors, kept and reused.

use std::io;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{net::TcpStream, time::Duration};
use tower::{ServiceExt, timeout::Timeout, util::BoxCloneSyncService};
use tower_bedrock_core::BoxError;

/// The client. Clones share one pool.
pub(crate) type Client = HyperClient<Connector, Full<Bytes>>;
pub(crate) type Connector =
    BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

/// What AWS's own SDKs allow for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);
/// For connection and TLS handshake together.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(6);
/// NAT gateways and VPC endpoints forget a connection that is silent for 350 s.
const KEEP_ALIVE: Duration = Duration::from_secs(45);
/// Less than most servers keep an idle connection, so that it is closed here and not while in use.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// HTTP/1.1 on purpose: one connection a call, so a call that breaks, stalls or is cancelled touches no
/// other.
///
/// # Errors
///
/// The system's root certificates cannot be read. They are only asked for where `tls` is needed.
pub(crate) fn client(tls: bool, max_idle_connections: usize) -> io::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE / 3));
    tcp.set_keepalive_retries(Some(3));
    let connector = if tls {
        let tls = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Connector::new(Timeout::new(tls, HANDSHAKE_TIMEOUT))
    } else {
        let plain = tcp.map_response(MaybeHttpsStream::Http);
        Connector::new(plain.map_err(Into::into))
    };
    let client = HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle_connections)
        .build(connector);
    Ok(client)
}
