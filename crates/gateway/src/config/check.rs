//! Whether what a file says can be.

mod clients;
mod server;
mod telemetry;
mod upstream;

use std::{fmt::Debug, net::SocketAddr};

use tower_bedrock::{
    cache::InvalidSetting,
    config::{InvalidSection, StackConfig},
};
use tower_bedrock_core::Region;

use self::{
    clients::{clients, shares},
    server::server,
    telemetry::{cloudwatch, metrics, otlp},
    upstream::upstream,
};
use super::{Config, Flags, file};
use crate::cached;

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfig(String);

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// A client's name stands in every log line, a service's in every trace.
const MAX_NAME: usize = 64;

impl InvalidConfig {
    pub(super) fn syntax(place: &str, message: &str) -> Self {
        Self(format!("{place}: {}", message.trim_end()))
    }

    pub(crate) fn value(key: &str, value: impl Debug, expected: &str) -> Self {
        Self(format!(
            "{key} = {value:?} is not valid: expected {expected}"
        ))
    }

    pub(crate) fn of_stack(error: InvalidSection) -> Self {
        Self(error.to_string())
    }

    pub(crate) fn of_cache(error: InvalidSetting) -> Self {
        Self(format!("cache.{error}"))
    }

    fn missing(key: &str, expected: &str) -> Self {
        Self(format!("{key} is missing: expected {expected}"))
    }
}

impl file::File {
    pub(super) fn check(self, flags: &Flags) -> Result<Config, InvalidConfig> {
        let listen = match (&flags.listen, &self.listen) {
            (Some(flag), _) => address("--listen", flag)?,
            (None, Some(file)) => address("listen", file)?,
            (None, None) => address("listen", DEFAULT_LISTEN)?,
        };
        let clients = clients(self.client)?;
        let key = flags.listen.as_ref().map_or("listen", |_| "--listen");
        let upstream = upstream(self.upstream, flags)?;
        let stack = StackConfig {
            retry: self.retry,
            breaker: self.breaker,
            timeout: self.timeout,
            quota: self.quota,
            fallback: self.fallback,
            shares: shares(&clients),
            regions: upstream.regions.iter().cloned().collect(),
            // Joined by whoever runs it.
            fleet: None,
        };
        // What they are built of is checked by building them.
        stack.build().map_err(InvalidConfig::of_stack)?;
        cached::layer(self.cache.as_ref(), ()).map_err(InvalidConfig::of_cache)?;
        let mut fleet = self.fleet;
        if let Some(fleet) = &mut fleet {
            fleet.password.clone_from(&flags.fleet_password);
            fleet.check().map_err(InvalidConfig::of_stack)?;
        }
        let region = upstream.regions.default();
        let cloudwatch = self.cloudwatch.map(|file| cloudwatch(file, region));
        let config = Config {
            listen,
            tls: self.tls,
            cloudwatch: cloudwatch.transpose()?,
            upstream,
            clients,
            server: server(self.server)?,
            stack,
            fleet,
            cache: self.cache,
            metrics: self.metrics.map(metrics).transpose()?,
            otlp: self.otlp.map(otlp).transpose()?,
        };
        config.check_listener(key, listen)?;
        Ok(config)
    }
}

impl Config {
    /// Whether its clients go with a listener on this address.
    pub(crate) fn check_listener(
        &self,
        key: &str,
        listen: SocketAddr,
    ) -> Result<(), InvalidConfig> {
        if self.clients.is_empty() && !listen.ip().is_loopback() {
            let expected = "a loopback address such as 127.0.0.1:8080, or at least one [[client]]: \
                            without clients, whoever can reach the gateway may use it";
            return Err(InvalidConfig::value(key, listen.to_string(), expected));
        }
        Ok(())
    }
}

fn address(key: &str, text: &str) -> Result<SocketAddr, InvalidConfig> {
    let expected = "an IP address and a port, such as 127.0.0.1:8080";
    text.parse()
        .map_err(|_| InvalidConfig::value(key, text, expected))
}

fn region(key: &str, name: &str) -> Result<Region, InvalidConfig> {
    let expected = r#"names of AWS Regions such as "us-east-1""#;
    name.parse()
        .map_err(|_| InvalidConfig::value(key, name, expected))
}

/// What stands before an '@' may be a password.
fn without_password(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn expected_name() -> String {
    format!("1 to {MAX_NAME} bytes without control characters")
}
