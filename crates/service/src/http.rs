//! The HTTP connection pool.

use aws_sdk_bedrockruntime::config::SharedHttpClient;
use aws_smithy_http_client::{
    pool::{Client, ConnectionPool},
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use tokio::time::Duration;
use tower_bedrock_core::BoxError;

/// One pool for all Regions. What it does not say is left at the HTTP client's own defaults, because it
/// cannot be said there: see the crate's documentation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSettings {
    pub(crate) idle_timeout: Duration,
    pub(crate) max_connections_per_host: Option<usize>,
    pub(crate) tcp_keepalive: Option<Duration>,
}

pub(crate) fn client(settings: PoolSettings) -> Result<SharedHttpClient, BoxError> {
    let mut builder = ConnectionPool::builder()
        .idle_timeout(settings.idle_timeout)
        .tcp_keepalive(settings.tcp_keepalive)
        // As the SDK's own client does: HTTPS_PROXY and its like.
        .proxy_config(ProxyConfig::from_env());
    builder.set_max_connections_per_host(settings.max_connections_per_host);
    let pool = builder
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https()?;
    Ok(SharedHttpClient::new(Client::new(&pool)?))
}
