//! `[metrics]`, `[cloudwatch]` and `[otlp]`

use std::ops::RangeInclusive;

use http::Uri;
use tokio::time::Duration;
use tower_bedrock_core::Region;

use super::{InvalidConfig, address, expected_name, is_name, region, without_password};
use crate::{
    config::{CloudWatch, Metrics, Otlp, file},
    telemetry::cloudwatch::recorder,
};

/// The port that OpenTelemetry gives exporters for Prometheus.
const DEFAULT_METRICS_LISTEN: &str = "127.0.0.1:9464";
const DEFAULT_NAMESPACE: &str = "GenAI/Application";
/// The port that OpenTelemetry gives collectors for OTLP over HTTP.
const DEFAULT_COLLECTOR: &str = "http://127.0.0.1:4318";
const DEFAULT_SERVICE: &str = "bedrock-gateway";

pub(super) fn metrics(file: file::Metrics) -> Result<Metrics, InvalidConfig> {
    let listen = file.listen.as_deref().unwrap_or(DEFAULT_METRICS_LISTEN);
    Ok(Metrics {
        listen: address("metrics.listen", listen)?,
    })
}

pub(super) fn cloudwatch(
    file: file::CloudWatch,
    default: &Region,
) -> Result<CloudWatch, InvalidConfig> {
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
    recorder(&config).map_err(|error| InvalidConfig(format!("cloudwatch.{error}")))?;
    Ok(config)
}

pub(super) fn otlp(file: file::Otlp) -> Result<Otlp, InvalidConfig> {
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
