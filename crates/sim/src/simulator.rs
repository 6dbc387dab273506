use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};
use tower_bedrock_core::{ModelId, Region};

use crate::{
    Admitted, BackgroundCaller, Call, Config, ConfigError, Credentials, Denied, FaultSpec, Input,
    Ledger, ModelSettings, Plan, QuotaLevels, ServiceError,
    engine::{Ending, Engine, InFlight},
};

/// A simulated Bedrock: the engine behind both faces, and its clock.
///
/// ```
/// use bedrock_sim::{Call, Input, ModelSettings, Operation, Simulator};
///
/// let simulator = Simulator::default();
/// let model = "acme.large-v1:0".parse()?;
/// let settings = ModelSettings {
///     tokens_per_minute: Some(Some(10_000)),
///     burndown: Some(5),
///     ..ModelSettings::default()
/// };
/// simulator.set_model(&model, None, &settings)?;
///
/// let region = simulator.default_region().clone();
/// let call = Call::new(Operation::Converse, region, model, Input::of_tokens(1_000))
///     .with_max_tokens(8_000)
///     .with_output_tokens(100);
/// let admitted = simulator.begin(&call)?;
///
/// // 9,000 tokens are held: a second call of that size has to wait ...
/// assert_eq!(simulator.begin(&call).unwrap_err().to_string(),
///     "ThrottlingException: Too many tokens, please wait before trying again.");
///
/// // ... until this one is settled at what it cost: 1,000 + 100 x 5.
/// admitted.complete();
/// assert_eq!(simulator.ledger().entries[0].settled, 1_500);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Time
///
/// Simulated time begins when the simulator is made and runs `time_scale` times as fast as
/// [`tokio::time`]: in a paused runtime it stands still, and hours pass in milliseconds.
///
/// # Clone
///
/// Clones share everything: models, quotas, faults, ledger and clock.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Mutex<Engine>,
    config: Config,
    region: Region,
    origin: Instant,
}

impl Simulator {
    /// A simulator whose time starts now.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, the value and what is accepted.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let engine = Engine::new(&config)?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine: Mutex::new(engine),
                region: config.default_region()?,
                origin: Instant::now(),
                config,
            }),
        })
    }

    /// Takes a call: validates it, plays a scripted fault, asks the quotas, and plans the answer.
    ///
    /// # Errors
    ///
    /// [`Denied`] where the model is not asked. That cost nothing, and is in the ledger.
    pub fn begin(&self, call: &Call) -> Result<Admitted, Denied> {
        let (plan, in_flight) = self.inner.engine.lock().begin(self.now(), call)?;
        Ok(Admitted::new(plan, self.clone(), in_flight))
    }

    /// Notes in the ledger what a face refused by itself: a bad body, a bad signature. `operation` and
    /// `model` are what was asked for, as far as that could be read.
    pub fn refused(&self, operation: &str, region: &Region, model: &str, error: &ServiceError) {
        let mut engine = self.inner.engine.lock();
        engine.refused(self.now(), operation, region, model, error);
    }

    /// How many tokens an input is for a model as called.
    ///
    /// # Errors
    ///
    /// The error that a call gets where the model cannot be called so.
    pub fn count_tokens(
        &self,
        region: &Region,
        model: &ModelId,
        input: &Input,
    ) -> Result<u64, ServiceError> {
        self.inner.engine.lock().count_tokens(region, model, input)
    }

    pub(crate) fn finish(&self, plan: &Plan, in_flight: InFlight, ending: Ending) {
        let mut engine = self.inner.engine.lock();
        engine.finish(self.now(), plan, in_flight, ending);
    }

    // === time ===

    /// Simulated time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        scale(self.inner.origin.elapsed(), self.inner.config.time_scale)
    }

    /// How long a span of simulated time takes by the clock.
    #[must_use]
    pub fn real(&self, simulated: Duration) -> Duration {
        scale(simulated, 1.0 / self.inner.config.time_scale)
    }

    /// When, by the clock, it is so late in simulated time.
    pub(crate) fn instant(&self, simulated: Duration) -> Instant {
        // Thirty years are as good as for ever, and far from the end of the clock.
        const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
        self.inner.origin + self.real(simulated).min(FAR)
    }

    // === control ===

    /// The Region of requests that name none.
    #[must_use]
    pub fn default_region(&self) -> &Region {
        &self.inner.region
    }

    /// Who may call the HTTP face.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.inner.config.credentials
    }

    /// Sets what is given of a model, and creates it if it is new (`PUT /_sim/models/{id}`).
    ///
    /// The id as given, prefix included, names the route whose quota is set, in `region` or the default
    /// one. All else is set for the model, whatever its route.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, the value and what is accepted. Nothing has changed then.
    pub fn set_model(
        &self,
        model: &ModelId,
        region: Option<&Region>,
        settings: &ModelSettings,
    ) -> Result<(), ConfigError> {
        let mut engine = self.inner.engine.lock();
        engine.set_model(self.now(), model, region, settings)
    }

    /// Adds a fault (`POST /_sim/faults`) and answers its id.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what cannot be: a probability above 1, a corrupt frame outside a stream, ...
    pub fn add_fault(&self, fault: FaultSpec) -> Result<u64, ConfigError> {
        self.inner.engine.lock().add_fault(self.now(), fault)
    }

    /// Removes a fault, and answers whether it was still there.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.inner.engine.lock().remove_fault(id)
    }

    /// Removes all faults (`DELETE /_sim/faults`).
    pub fn clear_faults(&self) {
        self.inner.engine.lock().clear_faults();
    }

    /// Adds another application of the account, which uses up quota from now on.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, the value and what is accepted.
    pub fn add_background(&self, caller: &BackgroundCaller) -> Result<(), ConfigError> {
        self.inner.engine.lock().add_background(self.now(), caller)
    }

    /// The ledger (`GET /_sim/ledger`).
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.inner.engine.lock().ledger()
    }

    /// Empties the ledger (`DELETE /_sim/ledger`).
    pub fn clear_ledger(&self) {
        self.inner.engine.lock().clear_ledger();
    }

    /// How full the quotas are for a model as called; `None` where it cannot be called so.
    #[must_use]
    pub fn levels(&self, region: &Region, model: &ModelId) -> Option<QuotaLevels> {
        self.inner.engine.lock().levels(self.now(), region, model)
    }

    /// Puts faults, ledger and quota levels back to the start (`POST /_sim/reset`). Models, background
    /// callers and the clock stay as they are; calls under way are settled nowhere.
    pub fn reset(&self) {
        let mut engine = self.inner.engine.lock();
        engine.reset(self.now(), &self.inner.config.faults);
    }
}

/// The built-in models, real time, anyone may call.
impl Default for Simulator {
    #[expect(
        clippy::expect_used,
        reason = "what is built in is valid: there is a test"
    )]
    fn default() -> Self {
        Self::new(Config::default()).expect("the default config is valid")
    }
}

fn scale(time: Duration, factor: f64) -> Duration {
    if factor == 1.0 {
        return time; // to the nanosecond
    }
    Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}
