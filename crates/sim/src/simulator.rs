use std::{fmt, sync::Arc};

use tokio::time::{Duration, Instant};
use tower_bedrock_core::{ModelId, Region};

use crate::{
    BackgroundCaller, Call, Config, ConfigError, Credentials, FaultSpec, Input, Ledger,
    ModelSettings, Plan, QuotaLevels, ServiceError,
};

/// A simulated Bedrock: the engine behind both faces.
///
/// # Clone
///
/// Clones share everything: models, quotas, faults and ledger.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    region: Region,
    origin: Instant,
}

/// Why a call got no answer from the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// An error of Bedrock's.
    Error(ServiceError),
    /// A load balancer's HTML page with status 503.
    Html503 {
        /// When to come back, in simulated time.
        retry_after: Option<Duration>,
    },
    /// The connection is cut without an answer.
    Reset,
}

/// A call under way. It holds the call's place in the quotas until it is settled: by
/// [`complete`](Self::complete), by [`fail`](Self::fail), or by being dropped, which settles what was
/// generated until then.
#[must_use = "dropping it settles the call as one whose caller went away"]
pub struct Admitted {
    plan: Plan,
    simulator: Simulator,
    started: Duration,
}

impl Simulator {
    /// A simulator whose time starts now.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, the value and what is accepted.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self {
            inner: Arc::new(Inner {
                region: config.default_region()?,
                origin: Instant::now(),
                config,
            }),
        })
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.inner
            .origin
            .elapsed()
            .mul_f64(self.inner.config.time_scale)
    }

    /// When, by the clock, it is so late in simulated time: what a face sleeps until.
    #[must_use]
    pub fn instant(&self, simulated: Duration) -> Instant {
        self.inner.origin + self.real(simulated)
    }

    /// How long a span of simulated time takes by the clock.
    #[must_use]
    pub fn real(&self, simulated: Duration) -> Duration {
        simulated.div_f64(self.inner.config.time_scale)
    }

    /// The Region of requests that name none.
    #[must_use]
    pub fn default_region(&self) -> &Region {
        &self.inner.region
    }

    /// Who may call.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.inner.config.credentials
    }

    /// Takes a call: validates it, plays a scripted fault, asks the quotas, and plans the answer.
    ///
    /// # Errors
    ///
    /// [`Denied`] where the model is not to be asked. It has cost nothing and is in the ledger.
    pub fn begin(&self, call: &Call) -> Result<Admitted, Denied> {
        let plan = Plan {
            usage: tower_bedrock_core::TokenUsage {
                input: self.count_tokens(&call.model, &call.input).unwrap_or(0),
                output: call.output_tokens.unwrap_or(64),
                cache_read: call.cache_read_tokens,
                cache_write: call.cache_write_tokens,
            },
            stop_reason: crate::StopReason::EndTurn,
            time_to_first_token: Duration::from_millis(300),
            disruption: None,
            per_delta: 4,
        };
        Ok(Admitted {
            plan,
            simulator: self.clone(),
            started: self.now(),
        })
    }

    /// Notes in the ledger a request that a face refused by itself: a bad body, a bad signature.
    /// `operation` and `model` are what was asked for, as far as it could be read.
    pub fn refused(&self, operation: &str, region: &Region, model: &str, error: &ServiceError) {
        let _ = (operation, region, model, error);
    }

    /// How many tokens an input is for a model.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin) for a model that cannot be called so.
    pub fn count_tokens(&self, model: &ModelId, input: &Input) -> Result<u64, ServiceError> {
        let _ = model;
        Ok(input.content().estimated_tokens())
    }

    // === control ===

    /// Sets what is given of a model, and creates it if it is new (`PUT /_sim/models/{id}`).
    ///
    /// The id as given, prefix included, names the route whose quota is set, in `region` or the default
    /// one. All else is set for the model, whatever its route.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, the value and what is accepted. Nothing is changed then.
    pub fn set_model(
        &self,
        model: &ModelId,
        region: Option<&Region>,
        settings: &ModelSettings,
    ) -> Result<(), ConfigError> {
        let _ = (model, region, settings);
        Ok(())
    }

    /// Adds a fault (`POST /_sim/faults`) and answers its id.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what cannot be: a probability above 1, a corrupt frame outside a stream, ...
    pub fn add_fault(&self, fault: FaultSpec) -> Result<u64, ConfigError> {
        let _ = fault;
        Ok(0)
    }

    /// Removes a fault, and answers whether it was there.
    pub fn remove_fault(&self, id: u64) -> bool {
        let _ = id;
        false
    }

    /// Removes all faults (`DELETE /_sim/faults`).
    pub fn clear_faults(&self) {}

    /// Adds another application of the account.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, the value and what is accepted.
    pub fn add_background(&self, caller: BackgroundCaller) -> Result<(), ConfigError> {
        let _ = caller;
        Ok(())
    }

    /// The ledger (`GET /_sim/ledger`).
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::default()
    }

    /// Empties the ledger (`DELETE /_sim/ledger`).
    pub fn clear_ledger(&self) {}

    /// How full the quotas are for a model as called in a Region; `None` where there is no such model.
    #[must_use]
    pub fn levels(&self, region: &Region, model: &ModelId) -> Option<QuotaLevels> {
        let _ = (region, model);
        None
    }

    /// Puts faults, ledger and quota levels back to the start (`POST /_sim/reset`). Models and the clock
    /// stay as they are.
    pub fn reset(&self) {}
}

impl Admitted {
    /// How it is to be answered.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When it was admitted, in simulated time since the start.
    #[must_use]
    pub const fn started(&self) -> Duration {
        self.started
    }

    /// When, by the clock, what is `due` so long after the admission is to happen.
    #[must_use]
    pub fn instant(&self, due: Duration) -> Instant {
        self.simulator.instant(self.started.saturating_add(due))
    }

    /// Settles a call that was answered whole.
    pub fn complete(self) {}

    /// Settles a call that its planned disruption has ended.
    pub fn fail(self) {}
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("plan", &self.plan)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}
