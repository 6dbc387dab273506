//! The simulator as the upstream, with a test's own quotas.

use std::net::SocketAddr;

use bedrock_sim::{Config, LedgerEntry, Simulator};
use tokio::{net::TcpListener, task::JoinHandle};

use super::MODEL;

pub struct Simulated {
    pub address: SocketAddr,
    pub simulator: Simulator,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Simulated {
    /// Answers at once, with these settings of the model.
    pub async fn new(settings: &str) -> Self {
        let config = format!(
            "[models.{MODEL:?}]\n{settings}\ntime_to_first_token_ms = 0\ntokens_per_second = 1_000_000\noutput_tokens = 20"
        );
        let simulator = Simulator::new(Config::from_toml(&config).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            simulator: simulator.clone(),
            serving: tokio::spawn(bedrock_sim::http::serve(
                listener,
                simulator,
                std::future::pending::<()>(),
            )),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls that it has had, in their order.
    pub fn calls(&self) -> Vec<LedgerEntry> {
        self.simulator.ledger().entries.to_vec()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
