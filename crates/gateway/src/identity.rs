//! Who the gateway is to its upstream.

use std::{env, net::IpAddr};

use aws_config::{Region, default_provider::credentials::DefaultCredentialsChain};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use http::uri::Scheme;
use tokio::time::{Duration, timeout};

use crate::{
    config::{Upstream, UpstreamKind},
    upstream::{InvalidToken, Signer},
};

/// Where AWS SDKs look for a Bedrock API key.
const BEARER_TOKEN: &str = "AWS_BEARER_TOKEN_BEDROCK";
/// How long the start waits to learn whether there are credentials.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The identity for an upstream: for Bedrock, and what stands in its place, the bearer token in
/// `AWS_BEARER_TOKEN_BEDROCK`, else what the default AWS credential chain has.
///
/// # Errors
///
/// [`InvalidToken`] where `AWS_BEARER_TOKEN_BEDROCK` cannot be sent.
pub(crate) async fn signer(upstream: &Upstream) -> Result<Signer, InvalidToken> {
    if let UpstreamKind::Sim(_) = upstream.kind {
        return Ok(simulated());
    }
    if let UpstreamKind::Endpoint(scheme, authority) = &upstream.kind
        && *scheme == Scheme::HTTP
        && !is_loopback(authority.host())
    {
        tracing::warn!(%authority, "calls, and the identity they carry, go out unencrypted");
    }
    if let Some(token) = env::var(BEARER_TOKEN)
        .ok()
        .filter(|token| !token.is_empty())
    {
        return Signer::bearer(&token);
    }
    let chain = DefaultCredentialsChain::builder()
        .region(Region::new(upstream.regions.default().to_string()))
        .build()
        .await;
    let provider = SharedCredentialsProvider::new(chain);
    match timeout(LOOK_UP, provider.provide_credentials()).await {
        // Bedrock takes nothing unsigned; another endpoint may.
        Ok(Err(CredentialsError::CredentialsNotLoaded(_)))
            if matches!(upstream.kind, UpstreamKind::Endpoint(..)) =>
        {
            tracing::info!("no AWS credentials found: requests go out unsigned");
            return Ok(Signer::nobody());
        }
        Ok(Err(error)) => tracing::warn!(%error, "AWS credentials are not available yet"),
        Err(_) => tracing::warn!("AWS credentials are not available yet"),
        Ok(Ok(_)) => {}
    }
    Ok(Signer::sigv4(provider))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// The simulator takes any key; the signature tells it the Region.
fn simulated() -> Signer {
    let credentials = Credentials::from_keys("AKIDSIMULATED", "simulated", None);
    Signer::sigv4(SharedCredentialsProvider::new(credentials))
}
