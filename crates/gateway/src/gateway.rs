use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::Request, routing::get};
use http::{StatusCode, uri::Scheme};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Duration, timeout},
};
use tower_bedrock::quota::fleet::Worker;
use tower_bedrock_core::Region;

use crate::{
    budget::Budget,
    config::{Config, InvalidConfig, Server, UpstreamKind},
    fleet,
    handle::Handle,
    handler::Handler,
    identity, server,
    sim::Sim,
    telemetry::{RecorderError, Telemetry},
    tls::{self, Acceptor},
    trace::TraceHeaders,
    upstream::{Endpoint, InvalidToken, Limits, Signer, Upstream},
};

/// The service: bound to its address, not yet serving.
///
/// ```no_run
/// use bedrock_gateway::{Gateway, config::{Config, Flags}};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::parse("", &Flags::default())?;
/// let gateway = Gateway::bind(config).await?;
/// println!("listening on {}", gateway.address());
/// gateway.run(async { let _ = tokio::signal::ctrl_c().await; }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    sim: Option<Sim>,
    router: Router,
    handle: Handle,
    tls: Option<Acceptor>,
    draining: Arc<AtomicBool>,
    settings: Server,
    telemetry: Telemetry,
    fleet: Option<Worker>,
}

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address to listen on cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The embedded simulator's address cannot be had.
    #[error(
        "cannot start the embedded simulator on {address}: {source}. If one is running there, start \
         with --upstream http://{address}; else set upstream.sim_listen"
    )]
    Sim {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The address to read metrics at cannot be had.
    #[error("cannot serve metrics on {address}: {source}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Metrics cannot be gathered.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// The certificates that TLS connections are checked against cannot be read.
    #[error("cannot read the system's root certificates: {0}")]
    Certificates(#[source] io::Error),
    /// The policies, or TLS, cannot be as configured.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The bearer token for Bedrock cannot be sent.
    #[error("AWS_BEARER_TOKEN_BEDROCK is not valid: {0}")]
    Token(#[from] InvalidToken),
}

/// How long a readiness probe may wait for credentials.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

impl Gateway {
    /// Binds to the configured addresses, with the identity that the environment has for the upstream.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what cannot be had.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let signer = identity::signer(&config.upstream).await?;
        Self::bind_as(config, signer).await
    }

    /// Binds to the configured addresses, with an identity of one's own.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what cannot be had.
    pub async fn bind_as(mut config: Config, signer: Signer) -> Result<Self, StartError> {
        let fleet = fleet::join(&mut config)?;
        let region = config.upstream.regions.default();
        let (endpoint, sim) = endpoint(&config.upstream.kind, region).await?;
        let budget = Budget::new(config.server.max_buffered_bytes);
        let limits = Limits::of(&config.server);
        let trace = config.otlp.as_ref().map(|_| TraceHeaders::new());
        let upstream =
            Upstream::with_limits(endpoint, signer, limits, budget.clone(), trace.clone())
                .map_err(StartError::Certificates)?;
        // The layers of the stack register with it.
        let mut telemetry = Telemetry::install(&config)?;
        let draining = Arc::new(AtomicBool::new(false));
        let handler = Handler::new(&config, budget, upstream.clone(), trace)?;
        let router = router(handler.clone(), upstream, Arc::clone(&draining));

        let tls = config.tls.as_ref().map(tls::load).transpose()?;
        let tls = tls.map(Acceptor::new);

        let address = config.listen;
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        if let Some(metrics) = config.metrics {
            let address = metrics.listen;
            telemetry
                .bind(&config)
                .await
                .map_err(|source| StartError::Metrics { address, source })?;
        }
        telemetry.connect(&config).await;
        Ok(Self {
            address,
            listener,
            sim,
            router,
            draining,
            settings: config.server.clone(),
            handle: Handle::new(handler, address, tls.clone(), config),
            tls,
            telemetry,
            fleet,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the embedded simulator listens, where there is one.
    #[must_use]
    pub fn sim_address(&self) -> Option<SocketAddr> {
        self.sim.as_ref().map(Sim::address)
    }

    /// Where metrics are read, where they are.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.telemetry.address()
    }

    /// To look into it and to give it another configuration while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `shutdown` completes, then lets calls that are under way finish, for at most
    /// `server.drain_timeout`, and gives back what it has leased of its fleet's quotas.
    ///
    /// # Errors
    ///
    /// The embedded simulator's, where it cannot go on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes all connections at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let draining = self.draining;
        let shutdown = async {
            shutdown.await;
            draining.store(true, Ordering::Relaxed);
        };
        let serve = server::serve(
            self.listener,
            self.tls,
            self.router,
            &self.settings,
            shutdown,
        );
        let (served, done) = oneshot::channel::<()>();
        let serve = async {
            match self.sim {
                Some(sim) => sim.serve_while(serve).await,
                None => {
                    serve.await;
                    Ok(())
                }
            }
        };
        let serve = async {
            let result = fleet::leased_for(self.fleet, serve).await;
            drop(served);
            result
        };
        let done = async { drop(done.await) };
        let (result, ()) = tokio::join!(serve, self.telemetry.run(self.handle, done));
        result
    }
}

fn router(handler: Handler, upstream: Upstream, draining: Arc<AtomicBool>) -> Router {
    let ready = move || ready(upstream.clone(), draining.load(Ordering::Relaxed));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(move |request: Request| handler.clone().handle(request))
}

/// Ready: not about to stop, and able to sign. Whether Bedrock answers is no reason to be taken out of
/// service: no other instance would fare better.
async fn ready(upstream: Upstream, draining: bool) -> (StatusCode, String) {
    let not_ready = |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    if draining {
        return not_ready("shutting down".to_owned());
    }
    match timeout(READY_TIMEOUT, upstream.check()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(error)) => {
            tracing::warn!(error, "not ready");
            not_ready("no credentials for the upstream".to_owned())
        }
        Err(_) => not_ready("waiting for credentials for the upstream".to_owned()),
    }
}

/// Where calls go; and the simulator, where that is what answers.
pub(crate) async fn endpoint(
    kind: &UpstreamKind,
    region: &Region,
) -> Result<(Endpoint, Option<Sim>), StartError> {
    Ok(match kind {
        UpstreamKind::Aws => (Endpoint::Aws, None),
        UpstreamKind::Endpoint(scheme, authority) => {
            (Endpoint::At(scheme.clone(), authority.clone()), None)
        }
        &UpstreamKind::Sim(address) => {
            let sim = Sim::bind(address, region)
                .await
                .map_err(|source| StartError::Sim { address, source })?;
            let endpoint = Endpoint::At(Scheme::HTTP, sim.authority().clone());
            (endpoint, Some(sim))
        }
    })
}
