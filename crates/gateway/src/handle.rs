use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tower_bedrock::{breaker::CircuitBreakerHandle, quota::Limiter};

use crate::{
    config::{Config, InvalidConfig},
    handler::Handler,
    tls::{self, Acceptor},
};

/// A gateway that runs, to look into and to give another configuration. Clones are of the same one.
///
/// ```no_run
/// use bedrock_gateway::{Gateway, config::{Config, Flags}};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway = Gateway::bind(Config::parse("", &Flags::default())?).await?;
/// let handle = gateway.handle();
/// # let shutdown = std::future::pending();
/// tokio::spawn(gateway.run(shutdown));
///
/// let needs_restart = handle.reload(Config::parse("[retry]\nmax_attempts = 3", &Flags::default())?)?;
/// assert!(needs_restart.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    handler: Handler,
    address: SocketAddr,
    tls: Option<Acceptor>,
    /// What the gateway was started with. Held while a reload is under way, so that there is one at a time.
    started_with: Arc<Mutex<Config>>,
}

impl Handle {
    pub(crate) fn new(
        handler: Handler,
        address: SocketAddr,
        tls: Option<Acceptor>,
        config: Config,
    ) -> Self {
        Self {
            handler,
            address,
            tls,
            started_with: Arc::new(Mutex::new(config)),
        }
    }

    /// Has calls from now on go by another configuration: its clients, its policies and its certificate. Calls under way, and
    /// streams, end as they began. What has not changed keeps its state: breakers, retry budgets and the
    /// levels of quotas.
    ///
    /// Reads the certificate and its key, so it blocks for as long as that takes.
    ///
    /// Returns the sections that differ from those the gateway was started with and take a restart: `listen`,
    /// `upstream`, `server`, `fleet`, `metrics`, `cloudwatch`, `otlp`, and `tls` where there is one in only one of the
    /// two.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] says what cannot be; nothing has changed then.
    pub fn reload(&self, mut config: Config) -> Result<Vec<&'static str>, InvalidConfig> {
        let started_with = self.started_with.lock();
        config.stack.fleet.clone_from(&started_with.stack.fleet);
        // The address is still the one that was bound, whatever the configuration says now.
        config.check_listener("listen", self.address)?;
        let tls = config.tls.as_ref().map(tls::load).transpose()?;
        self.handler.reload(&config)?;
        if let (Some(acceptor), Some(tls)) = (&self.tls, tls) {
            acceptor.replace(tls);
        }
        let differences = [
            ("listen", config.listen != started_with.listen),
            ("upstream", config.upstream != started_with.upstream),
            ("tls", config.tls.is_some() != self.tls.is_some()),
            ("server", config.server != started_with.server),
            ("fleet", config.fleet != started_with.fleet),
            ("metrics", config.metrics != started_with.metrics),
            ("cloudwatch", config.cloudwatch != started_with.cloudwatch),
            ("otlp", config.otlp != started_with.otlp),
        ];
        let differ = differences.into_iter().filter(|(_, differ)| *differ);
        Ok(differ.map(|(section, _)| section).collect())
    }

    /// How the quotas stand, as of the latest configuration.
    #[must_use]
    pub fn limiter(&self) -> Limiter {
        self.handler.stack().layers().quota().limiter().clone()
    }

    /// Records how full the quotas are.
    pub(crate) fn look_at_quotas(&self) {
        let stack = self.handler.stack();
        let layers = stack.layers();
        layers.quota_metrics().look(layers.quota().limiter());
    }

    /// What requests and answers that are held whole take at the moment, of `server.max_buffered_bytes`.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.handler.budget().taken()
    }

    /// How the circuit breakers stand, as of the latest configuration; and a switch for each.
    #[must_use]
    pub fn breaker(&self) -> CircuitBreakerHandle {
        self.handler.stack().layers().breaker().handle()
    }
}
