//! Metrics of the layers: who gathers them, and who is given them.

pub(crate) mod cloudwatch;
mod otlp;
mod prometheus;
mod recorder;

use std::{io, net::SocketAddr};

use tokio::time::{Duration, MissedTickBehavior, interval};
use tower_bedrock_cloudwatch::recorder::{CloudWatchSink, Stats, Worker};

pub use self::{
    otlp::{Traces, TracesError},
    recorder::RecorderError,
};
use self::{prometheus::Scrapes, recorder::Recorders};
use crate::{config::Config, handle::Handle};

/// How often quotas are looked at, and samples that nobody asks for are merged.
const UPKEEP: Duration = Duration::from_secs(5);

/// What runs beside the gateway for metrics. It does nothing where nobody wants any.
#[derive(Debug)]
pub(crate) struct Telemetry {
    recorders: Recorders,
    scrapes: Option<Scrapes>,
    worker: Option<Worker<CloudWatchSink>>,
}

impl Telemetry {
    /// Installs the recorder, unless nobody wants one. To be done before layers are made: they hold on to what they
    /// registered.
    pub(crate) fn install(config: &Config) -> Result<Self, RecorderError> {
        Ok(Self {
            recorders: recorder::install(config)?,
            scrapes: None,
            worker: None,
        })
    }

    /// Makes ready what sends metrics to CloudWatch, where somebody wants that.
    pub(crate) async fn connect(&mut self, config: &Config) {
        if let (Some(config), Some(recorder)) = (&config.cloudwatch, &self.recorders.cloudwatch) {
            self.worker = Some(cloudwatch::worker(config, recorder.clone()).await);
        }
    }

    /// Binds to the address that metrics are read at, where there is one.
    pub(crate) async fn bind(&mut self, config: &Config) -> io::Result<()> {
        if let (Some(metrics), Some(prometheus)) = (&config.metrics, &self.recorders.prometheus) {
            let scrapes = Scrapes::bind(metrics.listen, prometheus.clone()).await?;
            self.scrapes = Some(scrapes);
        }
        Ok(())
    }

    /// Where metrics are read.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.scrapes.as_ref().map(Scrapes::address)
    }

    /// Gathers, answers and sends until `done`, and then sends what is left.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it stops, and what was not sent to CloudWatch is lost.
    pub(crate) async fn run(self, gateway: Handle, done: impl Future<Output = ()>) {
        if self.recorders.is_none() {
            return done.await;
        }
        let upkeep = upkeep(&self.recorders, &gateway);
        let scrapes = async {
            if let Some(scrapes) = self.scrapes {
                scrapes.answer(gateway.clone()).await;
            }
        };
        let send = async {
            match self.worker {
                Some(worker) => report(worker.run_until(done).await),
                None => done.await,
            }
        };
        tokio::select! {
            () = send => {}
            ((), ()) = async { tokio::join!(upkeep, scrapes) } => {}
        }
    }
}

/// Each loss has been logged when it occurred.
fn report(stats: Stats) {
    let Stats {
        data_sent,
        data_lost,
        ..
    } = stats;
    tracing::info!(data_sent, data_lost, "sent the last metrics to CloudWatch");
}

/// How full a quota is nobody reports. The limiter is the latest configuration's, whenever that came.
async fn upkeep(recorders: &Recorders, gateway: &Handle) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        gateway.look_at_quotas();
        if let Some(prometheus) = &recorders.prometheus {
            prometheus.run_upkeep();
        }
    }
}
