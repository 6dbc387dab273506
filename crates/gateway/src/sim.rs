//! The embedded simulator: what answers until the gateway is told of something else.

use std::{io, net::SocketAddr};

use bedrock_sim::{Config, Simulator};
use http::uri::Authority;
use tokio::{net::TcpListener, sync::oneshot};
use tower_bedrock_core::Region;

/// A simulator that has its address but does not answer yet.
#[derive(Debug)]
pub(crate) struct Sim {
    listener: TcpListener,
    address: SocketAddr,
    authority: Authority,
    simulator: Simulator,
}

impl Sim {
    pub(crate) async fn bind(address: SocketAddr, region: &Region) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let config = Config {
            region: region.to_string(),
            ..Config::default()
        };
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            authority: address.to_string().parse().map_err(io::Error::other)?,
            simulator: Simulator::new(config).map_err(io::Error::other)?,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Answers until `work` is done.
    pub(crate) async fn serve_while(self, work: impl Future<Output = ()>) -> io::Result<()> {
        let (done, stopped) = oneshot::channel::<()>();
        let work = async {
            work.await;
            drop(done);
        };
        let (result, ()) = tokio::join!(
            bedrock_sim::http::serve(self.listener, self.simulator, stopped),
            work
        );
        result
    }
}
