//! What can be set, and what is set where nobody says.

use std::ops::RangeInclusive;

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{
        self, BehaviorVersion, IdentityCache, SharedInterceptor, StalledStreamProtectionConfig,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
};
use aws_types::SdkConfig;
use tokio::time::Duration;
use tower_bedrock_core::{InvalidRegion, Region};

use crate::{
    BedrockService, InvalidConfig,
    call::CallInterceptor,
    clients::Clients,
    http::{self, PoolSettings},
    invalid_config::check,
};

/// Sets timeouts and the connection pool of a [`BedrockService`].
///
/// ```no_run
/// use std::time::Duration;
/// use tower_bedrock_service::BedrockService;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = aws_config::load_from_env().await;
/// let bedrock = BedrockService::builder()
///     .operation_timeout(Duration::from_secs(120))
///     .first_event_timeout(Duration::from_secs(20))
///     .build(&config)?;
/// # Ok(())
/// # }
/// ```
///
/// What is set here goes before what the AWS configuration says, and that before the defaults. (An operation
/// or attempt timeout of the AWS configuration's own stays in force beside the ones set here.) Three things
/// are as this service needs them, whatever the configuration says or leaves unsaid:
///
/// - The SDK's **retries** are off, see [`BedrockService`].
/// - The SDK's **stalled-stream protection** is off unless the configuration itself sets it. It cuts a
///   connection on which no byte has come for five seconds: sensible for a download, wrong for a model that
///   thinks before it writes. [`stream_idle_timeout`](Self::stream_idle_timeout) and the other timeouts here
///   guard against stalls instead.
/// - **Credentials** are cached once, for all Regions.
///
/// # What cannot be set
///
/// The SDK's HTTP client offers no way to set the interval and number of TCP keep-alive probes (on Linux 75
/// seconds and 9, so a dead peer is noticed after about twelve minutes), HTTP/2 pings and window sizes, a
/// minimum of idle connections, or HTTP/1.1 alone (HTTP/2 is used where the endpoint offers it). Where that
/// matters, give the AWS configuration an HTTP client of your own; the pool settings here then have no
/// effect, and setting one is an error.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    operation_timeout: Option<Duration>,
    first_event_timeout: Option<Duration>,
    stream_idle_timeout: Option<Duration>,
    pool_idle_timeout: Option<Duration>,
    max_connections_per_host: Option<usize>,
    tcp_keepalive: Option<Option<Duration>>,
    max_regions: Option<usize>,
    #[cfg(feature = "opentelemetry")]
    trace_propagator: Option<crate::trace::Propagator>,
}

/// The timeouts that this crate keeps itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) operation_timeout: Duration,
    pub(crate) first_event_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

/// From a millisecond to a day: shorter is a unit mistaken, longer is no timeout.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

/// The kernel counts in seconds.
const KEEPALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(32_767);

const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);
const CALL_TIMEOUT: Duration = Duration::from_secs(3_600);
const STREAM_TIMEOUT: Duration = Duration::from_secs(300);
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const TCP_KEEPALIVE: Duration = Duration::from_secs(45);
const MAX_REGIONS: usize = 64;

impl Builder {
    /// The time a TCP connection and TLS handshake may take. Default 3.1 seconds, the SDK's own: just over
    /// the three seconds after which a lost first packet is sent again.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// The time from sending a request to the headers of its answer. Default 1 hour; the SDK sets none.
    ///
    /// The headers of a unary answer come when the model has written all of it, and AWS gives Claude an hour
    /// for that and advises a read timeout no shorter. What is cut earlier has been paid for all the same.
    pub const fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = Some(timeout);
        self
    }

    /// The time from calling the service to the whole answer, for the operations that do not stream.
    /// Default 1 hour, for the reason given at [`read_timeout`](Self::read_timeout). Set it to what your
    /// longest answer takes, or give each call a deadline.
    pub const fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = Some(timeout);
        self
    }

    /// The time from calling the service to a stream's first content. Default 5 minutes: a model that thinks
    /// before it writes is silent until then. An interactive caller will want less.
    pub const fn first_event_timeout(mut self, timeout: Duration) -> Self {
        self.first_event_timeout = Some(timeout);
        self
    }

    /// The time a reader waits for the next event of a stream. Default 5 minutes: models hold back the
    /// arguments of a long tool call until they are whole; and after 350 seconds of silence the network
    /// itself (a NAT gateway, a VPC endpoint) may have forgotten the connection. It runs only while
    /// somebody waits, so a slow reader is not taken for a stall.
    pub const fn stream_idle_timeout(mut self, timeout: Duration) -> Self {
        self.stream_idle_timeout = Some(timeout);
        self
    }

    /// The time an idle connection is kept for the next call. Default 50 seconds, a little less than the 60
    /// after which load balancers commonly close one, so that a call seldom meets a connection that is
    /// just being closed.
    pub const fn pool_idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool_idle_timeout = Some(timeout);
        self
    }

    /// The number of connections to one host at one time, in use or idle. Default: no bound.
    ///
    /// Calls beyond it wait inside the HTTP client, unseen, on their read timeout. A quota or concurrency
    /// layer is a better place to wait. Over HTTP/2 one connection carries many calls.
    pub const fn max_connections_per_host(mut self, connections: usize) -> Self {
        self.max_connections_per_host = Some(connections);
        self
    }

    /// The silence after which TCP keep-alive probes are sent; `None` sends none. Default 45 seconds.
    ///
    /// NAT gateways, VPC endpoints and Network Load Balancers forget a connection after 350 seconds without
    /// a packet, and tell nobody. A unary call that takes longer would never hear its answer.
    pub const fn tcp_keepalive(mut self, silence: Option<Duration>) -> Self {
        self.tcp_keepalive = Some(silence);
        self
    }

    /// The number of Regions whose SDK clients are kept. Default 64, more than AWS has.
    ///
    /// The HTTP client keeps a small record of every host it ever called, so where strangers name the Region,
    /// check it against a list of your own.
    pub const fn max_regions(mut self, regions: usize) -> Self {
        self.max_regions = Some(regions);
        self
    }

    /// Has every call tell Bedrock, in headers, the trace that it is part of: that of OpenTelemetry's current context when
    /// it is sent. With the layer of `tracing-opentelemetry` this is the current span's, and in a stack with a span
    /// for each attempt, the attempt's.
    ///
    /// The propagator says in which form: `opentelemetry-aws` has X-Ray's `X-Amzn-Trace-Id`, which AWS's services
    /// understand, `opentelemetry_sdk` has W3C's `traceparent`. The headers are not signed, so that proxies may change
    /// them. Default: none are sent.
    #[cfg(feature = "opentelemetry")]
    pub fn trace_propagator(
        mut self,
        propagator: impl opentelemetry::propagation::TextMapPropagator + Send + Sync + 'static,
    ) -> Self {
        self.trace_propagator = Some(std::sync::Arc::new(propagator));
        self
    }

    /// The service, over an AWS configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the setting, its value and what is accepted.
    pub fn build(self, config: &SdkConfig) -> Result<BedrockService, InvalidConfig> {
        let mut builder = config::Builder::from(config);
        if config.behavior_version().is_none() {
            // The SDK panics without one.
            builder.set_behavior_version(Some(BehaviorVersion::latest()));
        }
        self.build_from(&builder.build())
    }

    /// The service, over the configuration of an SDK client.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_from_client(self, client: &Client) -> Result<BedrockService, InvalidConfig> {
        self.build_from(client.config())
    }

    fn build_from(self, config: &Config) -> Result<BedrockService, InvalidConfig> {
        let limits = Limits {
            operation_timeout: timeout("operation_timeout", self.operation_timeout, CALL_TIMEOUT)?,
            first_event_timeout: timeout(
                "first_event_timeout",
                self.first_event_timeout,
                STREAM_TIMEOUT,
            )?,
            idle_timeout: timeout(
                "stream_idle_timeout",
                self.stream_idle_timeout,
                STREAM_TIMEOUT,
            )?,
        };
        let max_regions = self.max_regions.unwrap_or(MAX_REGIONS);
        check("max_regions", &max_regions, &(1..=1_024))?;
        let default_region = default_region(config)?;

        let mut builder = config.to_builder();
        builder
            .set_timeout_config(Some(self.timeouts(config)?))
            .set_retry_config(Some(RetryConfig::disabled()))
            // Else the SDK keeps, for good, a token bucket for each Region that was ever called.
            .set_retry_partition(Some(RetryPartition::new("tower-bedrock")))
            .set_interceptors(
                // First, so that other interceptors see the input that is sent.
                std::iter::once(SharedInterceptor::new(CallInterceptor))
                    .chain(config.interceptors()),
            );
        #[cfg(feature = "opentelemetry")]
        if let Some(propagator) = &self.trace_propagator {
            let headers = crate::trace::TraceHeaders(propagator.clone());
            builder.push_interceptor(SharedInterceptor::new(headers));
        }
        if config.stalled_stream_protection().is_none() {
            builder.set_stalled_stream_protection(Some(StalledStreamProtectionConfig::disabled()));
        }
        if config.identity_cache().is_none() {
            builder.set_identity_cache(IdentityCache::lazy().build());
        }
        self.set_http_client(config, &mut builder)?;

        let clients = Clients::new(builder.build(), max_regions);
        Ok(BedrockService::from_parts(clients, default_region, limits))
    }

    fn timeouts(&self, config: &Config) -> Result<TimeoutConfig, InvalidConfig> {
        let connect = timeout("connect_timeout", self.connect_timeout, CONNECT_TIMEOUT)?;
        let read = timeout("read_timeout", self.read_timeout, CALL_TIMEOUT)?;
        let mut timeouts = TimeoutConfig::builder();
        // The setters that take an `Option` would take `None` for "disabled".
        if let Some(timeout) = self.connect_timeout {
            timeouts = timeouts.connect_timeout(timeout);
        }
        if let Some(timeout) = self.read_timeout {
            timeouts = timeouts.read_timeout(timeout);
        }
        if let Some(configured) = config.timeout_config() {
            timeouts = timeouts.take_unset_from(configured.to_builder());
        }
        let defaults = TimeoutConfig::builder()
            .connect_timeout(connect)
            .read_timeout(read);
        Ok(timeouts.take_unset_from(defaults).build())
    }

    fn set_http_client(
        &self,
        config: &Config,
        builder: &mut config::Builder,
    ) -> Result<(), InvalidConfig> {
        let idle_timeout = timeout(
            "pool_idle_timeout",
            self.pool_idle_timeout,
            POOL_IDLE_TIMEOUT,
        )?;
        let tcp_keepalive = self.tcp_keepalive.unwrap_or(Some(TCP_KEEPALIVE));
        if let Some(silence) = tcp_keepalive {
            check("tcp_keepalive", &silence, &KEEPALIVE)?;
        }
        if let Some(connections) = self.max_connections_per_host {
            check(
                "max_connections_per_host",
                &connections,
                &(1..=usize::from(u16::MAX)),
            )?;
        }
        if config.http_client().is_some() {
            return self.refuse_pool_settings();
        }
        let client = http::client(PoolSettings {
            idle_timeout,
            max_connections_per_host: self.max_connections_per_host,
            tcp_keepalive,
        })
        .map_err(|error| {
            let expected = "settings that the SDK's HTTP client accepts";
            InvalidConfig::new("the connection pool", error.to_string(), expected)
        })?;
        builder.set_http_client(Some(client));
        Ok(())
    }

    /// A setting that would be ignored is a mistake worth hearing of.
    fn refuse_pool_settings(&self) -> Result<(), InvalidConfig> {
        let set = [
            ("pool_idle_timeout", self.pool_idle_timeout.is_some()),
            (
                "max_connections_per_host",
                self.max_connections_per_host.is_some(),
            ),
            ("tcp_keepalive", self.tcp_keepalive.is_some()),
        ];
        match set.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(InvalidConfig::new(
                field,
                "set",
                "it to be unset, as the AWS configuration brings an HTTP client with a pool of its own",
            )),
            None => Ok(()),
        }
    }
}

fn default_region(config: &Config) -> Result<Option<Region>, InvalidConfig> {
    let Some(region) = config.region() else {
        return Ok(None);
    };
    let region = region.as_ref().parse().map_err(|error: InvalidRegion| {
        let value = format!("{:?}", region.as_ref());
        let expected = format!("a Region's name ({error})");
        InvalidConfig::new("the AWS configuration's region", value, expected)
    })?;
    Ok(Some(region))
}

fn timeout(
    field: &'static str,
    set: Option<Duration>,
    default: Duration,
) -> Result<Duration, InvalidConfig> {
    let timeout = set.unwrap_or(default);
    check(field, &timeout, &TIMEOUTS)?;
    Ok(timeout)
}
