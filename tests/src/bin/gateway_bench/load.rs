//! A closed loop: every connection sends its next request when the last one is answered.

use std::{fmt, net::SocketAddr};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Duration, Instant},
};

const BODY: &[u8] = br#"{"messages":[{"role":"user","content":[{"text":"Name the four largest moons of Jupiter."}]}],"inferenceConfig":{"maxTokens":64}}"#;

/// What to send, to whom, on how many connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) model: &'static str,
    pub(crate) operation: Operation,
    pub(crate) connections: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Converse,
    ConverseStream,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) time: Duration,
    /// From sending a request to the last byte of its answer.
    pub(crate) latencies: Vec<Duration>,
    /// The processor time of the program that was asked, where it is known.
    pub(crate) cpu: Option<Duration>,
}

impl Load {
    /// Sends requests for so long. One that is not answered with success fails the whole.
    pub(crate) async fn run(self, time: Duration) -> Result<Sample> {
        let start = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..self.connections {
            connections.spawn(self.run_connection(start + time));
        }
        let mut latencies = Vec::new();
        while let Some(connection) = connections.join_next().await {
            latencies.extend(connection??);
        }
        Ok(Sample {
            time: start.elapsed(),
            latencies,
            cpu: None,
        })
    }

    async fn run_connection(self, until: Instant) -> Result<Vec<Duration>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let uri = format!(
            "/model/{}/{}",
            self.model.replace(':', "%3A"),
            self.operation
        );
        let host = self.address.to_string();

        let mut latencies = Vec::new();
        loop {
            let start = Instant::now();
            if start >= until {
                connection.abort();
                return Ok(latencies);
            }
            let request = Request::post(&uri)
                .header(HOST, &host)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from_static(BODY)))?;
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            let answer = response.into_body().collect().await?.to_bytes();
            ensure!(
                status.is_success() && !answer.is_empty(),
                "{}: {status} {}",
                self.operation,
                String::from_utf8_lossy(&answer)
            );
            latencies.push(start.elapsed());
        }
    }
}

impl Sample {
    /// Adds another round's measurements.
    pub(crate) fn add(&mut self, other: Self) {
        self.time += other.time;
        self.cpu = match self.latencies.is_empty() {
            true => other.cpu,
            false => self.cpu.zip(other.cpu).map(|(a, b)| a + b),
        };
        self.latencies.extend(other.latencies);
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Converse => "converse",
            Self::ConverseStream => "converse-stream",
        })
    }
}
