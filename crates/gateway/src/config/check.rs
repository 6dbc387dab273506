//! Whether what a file says can be.

use std::{collections::HashSet, fmt::Debug, net::SocketAddr, ops::RangeInclusive};

use http::{Uri, uri::Scheme};
use tokio::time::Duration;
use tower_bedrock::{
    cache::InvalidSetting,
    config::{InvalidSection, StackConfig},
};
use tower_bedrock_core::{Priority, Region, Tenant};

use crate::{cached, telemetry};

use super::{
    Client, CloudWatch, Config, Flags, Metrics, Otlp, Regions, Server, Upstream, UpstreamKind, file,
};

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfig(String);

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_SIM_LISTEN: &str = "127.0.0.1:9090";
/// The port that OpenTelemetry gives exporters for Prometheus.
const DEFAULT_METRICS_LISTEN: &str = "127.0.0.1:9464";
const DEFAULT_NAMESPACE: &str = "GenAI/Application";
/// The port that OpenTelemetry gives collectors for OTLP over HTTP.
const DEFAULT_COLLECTOR: &str = "http://127.0.0.1:4318";
const DEFAULT_SERVICE: &str = "bedrock-gateway";
const DEFAULT_REGION: &str = "us-east-1";
/// A client's name stands in every log line, a service's in every trace.
const MAX_NAME: usize = 64;
const DEFAULT_SHARE: u32 = 1;
/// The greatest weight that a quota's queue takes.
const MAX_SHARE: u32 = 1_000;

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
        cached::layer(self.cache.as_ref()).map_err(InvalidConfig::of_cache)?;
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

/// Of those that differ from the default, in the order of their names, so that a plain client more or less, or one
/// in another place, is no change of them.
fn shares(clients: &[Client]) -> Vec<(Tenant, u32)> {
    let mut shares: Vec<_> = clients
        .iter()
        .filter(|client| client.share != DEFAULT_SHARE)
        .map(|client| (Tenant::from(client.name.as_str()), client.share))
        .collect();
    shares.sort_unstable();
    shares
}

fn address(key: &str, text: &str) -> Result<SocketAddr, InvalidConfig> {
    let expected = "an IP address and a port, such as 127.0.0.1:8080";
    text.parse()
        .map_err(|_| InvalidConfig::value(key, text, expected))
}

fn upstream(file: file::Upstream, flags: &Flags) -> Result<Upstream, InvalidConfig> {
    let kind = match flags.upstream.as_deref() {
        Some("sim") => UpstreamKind::Sim(sim_listen(file.sim_listen.as_deref())?),
        Some("aws") => UpstreamKind::Aws,
        Some(url) => endpoint("--upstream", url, "\"sim\", \"aws\" or a URL: ")?,
        None => kind(&file)?,
    };
    Ok(Upstream {
        kind,
        regions: regions(file.regions, flags.aws_region.as_deref())?,
    })
}

fn kind(file: &file::Upstream) -> Result<UpstreamKind, InvalidConfig> {
    let kind = file.kind.as_deref().unwrap_or("sim");
    // A key that would be ignored says something that does not hold.
    if let Some(endpoint) = file.endpoint.as_ref().filter(|_| kind != "endpoint") {
        let expected = r#"upstream.kind = "endpoint" with it"#;
        return Err(InvalidConfig::value(
            "upstream.endpoint",
            endpoint,
            expected,
        ));
    }
    if let Some(listen) = file.sim_listen.as_ref().filter(|_| kind != "sim") {
        let expected = r#"upstream.kind = "sim" with it"#;
        return Err(InvalidConfig::value(
            "upstream.sim_listen",
            listen,
            expected,
        ));
    }
    match kind {
        "sim" => Ok(UpstreamKind::Sim(sim_listen(file.sim_listen.as_deref())?)),
        "aws" => Ok(UpstreamKind::Aws),
        "endpoint" => match &file.endpoint {
            Some(url) => endpoint("upstream.endpoint", url, ""),
            None => Err(InvalidConfig::missing(
                "upstream.endpoint",
                r#"a URL such as "http://127.0.0.1:9090", since upstream.kind = "endpoint""#,
            )),
        },
        other => Err(InvalidConfig::value(
            "upstream.kind",
            other,
            r#""sim", "aws" or "endpoint""#,
        )),
    }
}

fn metrics(file: file::Metrics) -> Result<Metrics, InvalidConfig> {
    let listen = file.listen.as_deref().unwrap_or(DEFAULT_METRICS_LISTEN);
    Ok(Metrics {
        listen: address("metrics.listen", listen)?,
    })
}

fn cloudwatch(file: file::CloudWatch, default: &Region) -> Result<CloudWatch, InvalidConfig> {
    const PERIODS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
    let period = file.period.unwrap_or(Duration::from_secs(60));
    if !PERIODS.contains(&period) {
        let expected = r#"a time such as "60s", "1s" to "1h""#;
        return Err(InvalidConfig::value("cloudwatch.period", period, expected));
    }
    let namespace = file.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let region = |name: String| region("cloudwatch.region", &name);
    let config = CloudWatch {
        namespace: namespace.to_owned(),
        period,
        region: file.region.map_or(Ok(default.clone()), region)?,
    };
    // What else can be wrong the recorder knows.
    telemetry::cloudwatch::recorder(&config)
        .map_err(|error| InvalidConfig(format!("cloudwatch.{error}")))?;
    Ok(config)
}

fn otlp(file: file::Otlp) -> Result<Otlp, InvalidConfig> {
    let url = file.endpoint.as_deref().unwrap_or(DEFAULT_COLLECTOR);
    let service_name = file.service_name.as_deref().unwrap_or(DEFAULT_SERVICE);
    if !is_name(service_name) {
        let key = "otlp.service_name";
        return Err(InvalidConfig::value(key, service_name, &expected_name()));
    }
    let sample_ratio = file.sample_ratio.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample_ratio) {
        let (key, expected) = ("otlp.sample_ratio", "0.0 to 1.0");
        return Err(InvalidConfig::value(key, sample_ratio, expected));
    }
    Ok(Otlp {
        endpoint: collector(url)?,
        service_name: service_name.to_owned(),
        sample_ratio,
    })
}

fn collector(url: &str) -> Result<Uri, InvalidConfig> {
    let uri: Uri = url.parse().unwrap_or_default();
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.authority().filter(|host| !host.host().is_empty());
    if is_http && host.is_some_and(|host| !host.as_str().contains('@')) && uri.query().is_none() {
        return Ok(uri);
    }
    let expected = "http:// or https://, a host, and perhaps a port and a path; a key for it goes into \
                    OTEL_EXPORTER_OTLP_HEADERS";
    // A query is where some keep a key.
    let shown = without_password(url).split('?').next();
    let shown = shown.unwrap_or_default();
    Err(InvalidConfig::value("otlp.endpoint", shown, expected))
}

/// What stands before an '@' may be a password.
fn without_password(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

/// The simulator takes whatever it is sent, so it is nobody else's business.
fn sim_listen(text: Option<&str>) -> Result<SocketAddr, InvalidConfig> {
    let text = text.unwrap_or(DEFAULT_SIM_LISTEN);
    let listen = address("upstream.sim_listen", text)?;
    if listen.ip().is_loopback() {
        Ok(listen)
    } else {
        let expected = "a loopback address such as 127.0.0.1:9090";
        Err(InvalidConfig::value("upstream.sim_listen", text, expected))
    }
}

fn endpoint(key: &str, url: &str, or: &str) -> Result<UpstreamKind, InvalidConfig> {
    let parts = url.parse().map(Uri::into_parts).unwrap_or_default();
    let bare = parts.path_and_query.is_none_or(|path| path == "/");
    match (parts.scheme, parts.authority) {
        (Some(scheme), Some(authority))
            if (scheme == Scheme::HTTP || scheme == Scheme::HTTPS)
                && !authority.host().is_empty()
                && !authority.as_str().contains('@')
                && bare =>
        {
            Ok(UpstreamKind::Endpoint(scheme, authority))
        }
        _ => {
            let expected = "http:// or https://, a host and perhaps a port, and nothing after it";
            let expected = format!("{or}{expected}");
            Err(InvalidConfig::value(key, without_password(url), &expected))
        }
    }
}

fn region(key: &str, name: &str) -> Result<Region, InvalidConfig> {
    let expected = r#"names of AWS Regions such as "us-east-1""#;
    name.parse()
        .map_err(|_| InvalidConfig::value(key, name, expected))
}

fn regions(names: Option<Vec<String>>, aws_region: Option<&str>) -> Result<Regions, InvalidConfig> {
    const KEY: &str = "upstream.regions";
    let names = names.unwrap_or_else(|| vec![aws_region.unwrap_or(DEFAULT_REGION).to_owned()]);
    let mut regions = names.iter().map(|name| region(KEY, name));
    let Some(default) = regions.next() else {
        let expected = "at least one Region; the first is the default";
        return Err(InvalidConfig::value(KEY, &names, expected));
    };
    Ok(Regions::new(default?, regions.collect::<Result<_, _>>()?))
}

fn clients(clients: Vec<file::Client>) -> Result<Vec<Client>, InvalidConfig> {
    let mut seen = HashSet::new();
    clients
        .into_iter()
        .map(|client| {
            let file::Client {
                name,
                key_sha256,
                priority,
                share,
            } = client;
            if !is_name(&name) {
                return Err(InvalidConfig::value("client.name", name, &expected_name()));
            }
            if !seen.insert(name.clone()) {
                let expected = "a name of its own for every client";
                return Err(InvalidConfig::value("client.name", name, expected));
            }
            // A value that is wrong here may be the key itself, so it is not shown.
            let hash = hash(&key_sha256).ok_or_else(|| {
                InvalidConfig(format!(
                    "client.key_sha256 of {name:?} is not valid ({} characters): expected the SHA-256 of \
                     the key as 64 hexadecimal digits; printf %s \"$KEY\" | sha256sum prints it",
                    key_sha256.chars().count()
                ))
            })?;
            let share = share.unwrap_or(DEFAULT_SHARE);
            if !(1..=MAX_SHARE).contains(&share) {
                let key = format!("client.share of {name:?}");
                return Err(InvalidConfig::value(&key, share, &format!("1 to {MAX_SHARE}")));
            }
            Ok(Client {
                priority: priority_of(&name, priority.as_deref())?,
                name,
                key_sha256: hash,
                share,
            })
        })
        .collect()
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn expected_name() -> String {
    format!("1 to {MAX_NAME} bytes without control characters")
}

fn priority_of(client: &str, name: Option<&str>) -> Result<Priority, InvalidConfig> {
    let Some(name) = name else {
        return Ok(Priority::default());
    };
    let known = |priority: &Priority| priority.as_str() == name;
    Priority::ALL.into_iter().find(known).ok_or_else(|| {
        let key = format!("client.priority of {client:?}");
        InvalidConfig::value(&key, name, r#""interactive", "normal" or "batch""#)
    })
}

fn hash(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(hexadecimal, &mut hash).ok()?;
    Some(hash)
}

fn server(server: Server) -> Result<Server, InvalidConfig> {
    const MAX_BYTES: usize = u32::MAX as usize;
    const DAY: Duration = Duration::from_secs(86_400);
    let sizes = [
        ("max_connections", server.max_connections, 1, 1_000_000),
        ("max_body_bytes", server.max_body_bytes, 1, MAX_BYTES),
        (
            "max_buffered_bytes",
            server.max_buffered_bytes,
            // One of the largest bodies has to fit.
            server.max_body_bytes,
            MAX_BYTES,
        ),
    ];
    for (key, value, min, max) in sizes {
        if !(min..=max).contains(&value) {
            let key = format!("server.{key}");
            return Err(InvalidConfig::value(
                &key,
                value,
                &format!("{min} to {max}"),
            ));
        }
    }
    let times = [
        ("idle_timeout", server.idle_timeout),
        ("body_timeout", server.body_timeout),
        ("write_timeout", server.write_timeout),
        ("drain_timeout", server.drain_timeout),
    ];
    for (key, value) in times {
        if value.is_zero() || value > DAY {
            let key = format!("server.{key}");
            let expected = r#"a time such as "30s", above zero and at most "1day""#;
            return Err(InvalidConfig::value(&key, value, expected));
        }
    }
    Ok(server)
}
