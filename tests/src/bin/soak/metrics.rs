//! What the gateway says of itself to whoever scrapes it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

/// One answer of `/metrics`.
#[derive(Debug)]
pub(crate) struct Scrape(String);

impl Scrape {
    pub(crate) async fn of(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let request = Request::get("/metrics")
            .header(HOST, address.to_string())
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8(body.to_vec()).context("metrics are no text")?;
        Ok(Self(text))
    }

    /// The sum over all series of a metric.
    ///
    /// # Errors
    ///
    /// Where there is none: what is not reported cannot be zero.
    pub(crate) fn sum(&self, metric: &str) -> Result<u64> {
        let of_metric = |line: &&str| line.split(['{', ' ']).next() == Some(metric);
        let values = self.0.lines().filter(of_metric).map(|line| {
            let value = line.rsplit(' ').next().unwrap_or_default();
            value.parse::<f64>().with_context(|| line.to_owned())
        });
        let sum = values.reduce(|sum, value| Ok(sum? + value?));
        Ok(sum.with_context(|| format!("{metric} is not reported"))?? as u64)
    }
}
