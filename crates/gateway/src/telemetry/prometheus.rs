//! `GET /metrics`, on a listener of its own: who may use the gateway is not who may watch it.

use std::{future::pending, io, net::SocketAddr};

use axum::{Router, response::IntoResponse, routing::get};
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, time::Duration};

use crate::{config::Server, handle::Handle, server};

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A scraper or two, and a person.
const MAX_CONNECTIONS: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(10);

/// The listener that metrics are read at.
#[derive(Debug)]
pub(super) struct Scrapes {
    listener: TcpListener,
    address: SocketAddr,
    prometheus: PrometheusHandle,
}

impl Scrapes {
    pub(super) async fn bind(
        address: SocketAddr,
        prometheus: PrometheusHandle,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            prometheus,
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, for ever.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes all connections.
    pub(super) async fn answer(self, gateway: Handle) {
        let Self {
            listener,
            prometheus,
            ..
        } = self;
        let metrics = move || async move {
            gateway.look_at_quotas();
            ([(CONTENT_TYPE, TEXT)], prometheus.render()).into_response()
        };
        let router = Router::new().route("/metrics", get(metrics));
        let settings = Server {
            max_connections: MAX_CONNECTIONS,
            write_timeout: TIMEOUT,
            ..Server::default()
        };
        server::serve(listener, None, router, &settings, pending()).await;
    }
}
