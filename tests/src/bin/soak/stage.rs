//! The simulator and the gateway before it, and what can be seen of them.

use std::{future::pending, net::SocketAddr};

use anyhow::{Context, Result};
use bedrock_gateway::{
    Gateway, Handle, Signer,
    config::{Config, Flags},
};
use bedrock_sim::{FaultAt, FaultName, FaultSpec, Simulator, http};
use parking_lot::Mutex;
use tokio::{net::TcpListener, runtime::Runtime, time::Duration};
use tower_bedrock_core::{ModelId, Region};

use crate::metrics::Scrape;

pub(crate) const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";
/// What calls fall to.
pub(crate) const FALLBACK: &str = "amazon.nova-lite-v1:0";
const REGION: &str = "us-east-1";
const TOKENS_PER_MINUTE: u64 = 60_000;
/// Of each kind, at each place: a fifth of all calls meets one.
const PROBABILITY: f64 = 0.005;
/// Of each throttle of a quota, while there are any.
const THROTTLES: f64 = 0.02;

pub(crate) struct Stage {
    simulator: Simulator,
    gateway: Handle,
    address: SocketAddr,
    metrics: SocketAddr,
    sent: Mutex<Sent>,
    of_gateway: Runtime,
    _of_simulator: Runtime,
}

/// What the ledger says of the calls that were sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    calls: u64,
    faults: u64,
    /// By the quota, and not by a fault.
    pub(crate) throttled: u64,
    /// Tokens that the quota was charged with.
    pub(crate) settled: u64,
}

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
    pub(crate) waiting: u64,
    pub(crate) bytes: usize,
}

impl Stage {
    pub(crate) fn start(seed: u64) -> Result<Self> {
        let (of_simulator, of_gateway) = (runtime()?, runtime()?);
        let simulator = Simulator::new(bedrock_sim::Config {
            region: REGION.to_owned(),
            seed,
            ..bedrock_sim::Config::default()
        })?;
        // A tenth more than the gateway is told: its estimates of input are not exact.
        let settings = serde_json::from_value(serde_json::json!({
            "tokens_per_minute": TOKENS_PER_MINUTE / 10 * 11,
            "requests_per_minute": null,
            "output_tokens": 30,
            "time_to_first_token_ms": 20,
            "tokens_per_second": 300,
            "tokens_per_delta": 1,
        }))?;
        for model in [MODEL, FALLBACK] {
            simulator.set_model(&model.parse()?, None, &settings)?;
        }
        let listener = of_simulator.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let upstream = listener.local_addr()?;
        of_simulator.spawn(http::serve(listener, simulator.clone(), pending::<()>()));

        let config = format!(
            r#"
            listen = "127.0.0.1:0"
            [upstream]
            kind = "endpoint"
            endpoint = "http://{upstream}"
            regions = ["{REGION}"]
            [retry]
            base_delay = "50ms"
            max_delay = "1s"
            [breaker]
            open_for = "200ms"
            [timeout]
            attempt = "2s"
            first_event = "1s"
            request = "10s"
            [[quota]]
            tokens_per_minute = {TOKENS_PER_MINUTE}
            [[fallback]]
            model = "{MODEL}"
            chain = [{{ model = "{FALLBACK}" }}]
            [metrics]
            listen = "127.0.0.1:0"
            "#
        );
        let config = Config::parse(&config, &Flags::default())?;
        let gateway = of_gateway.block_on(Gateway::bind_as(config, Signer::nobody()))?;
        let (handle, address) = (gateway.handle(), gateway.address());
        let metrics = gateway.metrics_address().context("no metrics")?;
        of_gateway.spawn(gateway.run(pending::<()>()));
        Ok(Self {
            simulator,
            gateway: handle,
            address,
            metrics,
            sent: Mutex::default(),
            of_gateway,
            _of_simulator: of_simulator,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every fault strikes now and then, at every place it can; throttles of quotas only for a tenth of the
    /// time. They are believed: with them all along the gateway would send next to nothing, and that is no load.
    pub(crate) fn disturb(&self, time: Duration) -> Result<()> {
        self.throttle(time)?;
        let places = [
            None,
            Some(FaultAt::FirstEvent),
            Some(FaultAt::AfterDeltas(3)),
        ];
        for kind in FaultName::ALL {
            let of_quota = matches!(
                kind,
                FaultName::ThrottleRequests
                    | FaultName::ThrottleTokens
                    | FaultName::ThrottleTokensPerDay
            );
            for at in places.into_iter().filter(|_| !of_quota) {
                let fault = FaultSpec {
                    probability: Some(PROBABILITY),
                    at,
                    ..FaultSpec::new(kind)
                };
                // Not every kind can strike everywhere.
                let refused = self.simulator.add_fault(fault).is_err();
                let in_streams_only = kind == FaultName::Corrupt && at.is_none();
                let whole_only =
                    matches!(kind, FaultName::Html503 | FaultName::Slow) && at.is_some();
                anyhow::ensure!(
                    refused == (in_streams_only || whole_only),
                    "{kind:?} at {at:?}"
                );
            }
        }
        Ok(())
    }

    fn throttle(&self, time: Duration) -> Result<()> {
        let from = self.simulator.now() + time * 2 / 5;
        let until = from + time / 10;
        let milliseconds = |at: Duration| u64::try_from(at.as_millis());
        for kind in [FaultName::ThrottleRequests, FaultName::ThrottleTokens] {
            self.simulator.add_fault(FaultSpec {
                probability: Some(THROTTLES),
                from_ms: Some(milliseconds(from)?),
                until_ms: Some(milliseconds(until)?),
                ..FaultSpec::new(kind)
            })?;
        }
        Ok(())
    }

    pub(crate) fn undisturb(&self) {
        self.simulator.clear_faults();
    }

    /// The tasks of the gateway's runtime.
    pub(crate) fn tasks(&self) -> usize {
        self.of_gateway.metrics().num_alive_tasks()
    }

    /// As the gateway's metrics have it.
    pub(crate) async fn left(&self) -> Result<Left> {
        let scrape = Scrape::of(self.metrics).await?;
        Ok(Left {
            calls: scrape.sum("QuotaCallsInFlight")?,
            tokens: scrape.sum("QuotaTokensReserved")?,
            waiting: scrape.sum("QuotaWaiting")?,
            bytes: self.gateway.buffered_bytes(),
        })
    }

    /// The sum of the states of all circuits, of which zero is closed.
    pub(crate) async fn broken(&self) -> Result<u64> {
        Scrape::of(self.metrics).await?.sum("CircuitBreakerState")
    }

    /// The tokens of the minute that are used: as the gateway counts, and as the simulator does.
    pub(crate) fn levels(&self) -> (u64, u64) {
        let of_gateway = || -> u64 {
            let quotas = self.gateway.limiter().snapshots();
            let used = quotas.iter().map(|quota| quota.tokens_per_minute);
            used.map(|level| level.used + level.debt).sum()
        };
        let of_simulator = |model: &str| {
            let (region, model): (Region, ModelId) = (REGION.parse().ok()?, model.parse().ok()?);
            let levels = self.simulator.levels(&region, &model)?;
            Some(levels.tokens_per_minute?.used)
        };
        let there = [MODEL, FALLBACK].into_iter().filter_map(of_simulator).sum();
        (of_gateway(), there)
    }

    /// Adds up what the ledger says, and empties it: it does not keep everything.
    pub(crate) fn collect(&self) {
        let ledger = self.simulator.ledger();
        self.simulator.clear_ledger();
        let mut sent = self.sent.lock();
        for entry in ledger.entries {
            sent.calls += 1;
            sent.faults += u64::from(entry.fault.is_some());
            sent.throttled += u64::from(entry.fault.is_none() && entry.status == Some(429));
            sent.settled += entry.settled;
        }
    }

    pub(crate) fn sent(&self) -> Sent {
        self.collect();
        *self.sent.lock()
    }

    /// Counts anew what is sent.
    pub(crate) fn forget(&self) {
        self.collect();
        *self.sent.lock() = Sent::default();
    }
}

impl Sent {
    pub(crate) fn print(self) {
        let Self {
            calls,
            faults,
            throttled,
            ..
        } = self;
        println!("sent: {calls} calls, of which {faults} met a fault and {throttled} the quota");
    }
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no runtime")
}
