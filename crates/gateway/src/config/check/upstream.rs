//! `[upstream]`

use std::net::SocketAddr;

use http::{Uri, uri::Scheme};

use super::{InvalidConfig, address, region, without_password};
use crate::config::{Flags, Regions, Upstream, UpstreamKind, file};

const DEFAULT_SIM_LISTEN: &str = "127.0.0.1:9090";
const DEFAULT_REGION: &str = "us-east-1";

pub(super) fn upstream(file: file::Upstream, flags: &Flags) -> Result<Upstream, InvalidConfig> {
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
