use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tower_bedrock_core::{Demand, HasDemand, Region, Target};

#[cfg(feature = "redis")]
use crate::Window;
use crate::{
    LimitTable, QuotaKey,
    budget::Budget,
    config::Config,
    cost,
    day::Day,
    estimate::{Calibration, OutputSizes},
    key::Key,
    keys::Keys,
    model::Model,
    state::State,
    time::Time,
};

/// The keys, days and models that are kept count of: as many as are configured, whatever clients name.
#[derive(Debug)]
pub(crate) struct Registry {
    keys: Keys,
    rest: Mutex<Rest>,
}

/// What new keys are made from.
///
/// Whoever adds or forgets keys has this locked.
#[derive(Debug)]
struct Rest {
    table: LimitTable,
    /// How many there are.
    keys: usize,
    days: HashMap<Region, Arc<Day>>,
    models: HashMap<Arc<str>, Arc<Model>>,
    swept_at: Option<Time>,
}

/// What a call is metered by.
#[derive(Clone, Debug)]
pub(crate) enum Meters {
    Key(Arc<Key>),
    /// Nothing is known of its limits, and there is no room to learn them.
    Nothing,
    /// It has limits, and there is no room to keep count.
    NoRoom,
}

/// Where all keys are busy, looking again for idle ones has to wait so long: a client that names ever new
/// models must not make every call look through all keys. Until then a few are looked at.
const BETWEEN_SWEEPS: u64 = 1_000_000_000;

impl Registry {
    pub(crate) fn new(table: LimitTable) -> Self {
        Self {
            keys: Keys::default(),
            rest: Mutex::new(Rest {
                table,
                keys: 0,
                days: HashMap::new(),
                models: HashMap::new(),
                swept_at: None,
            }),
        }
    }

    /// The key of a target where it is kept count of.
    pub(crate) fn find(&self, target: &Target) -> Option<Arc<Key>> {
        self.keys.find(target)
    }

    /// The key of a target, made where there is none yet.
    pub(crate) fn find_or_make(&self, target: &Target, config: &Arc<Config>) -> Meters {
        match self.find(target) {
            Some(key) => Meters::Key(key),
            None => self.make(target, config),
        }
    }

    /// A state as it would be made for a target, kept by nobody: for forecasts.
    pub(crate) fn sketch(&self, target: &Target, config: &Config) -> (State, Arc<Day>) {
        let rest = self.rest.lock();
        let limits = rest.table.limits(&QuotaKey::of(target));
        let day = match rest.days.get(target.region()) {
            Some(day) => Arc::clone(day),
            None => Arc::new(Day::new(
                target.region(),
                rest.table.tokens_per_day(target.region().as_str()),
                config,
            )),
        };
        (State::new(Budget::new(&limits, config)), day)
    }

    /// What is known of a model, where it has been called.
    pub(crate) fn model(&self, base: &str) -> Option<Arc<Model>> {
        self.rest.lock().models.get(base).cloned()
    }

    pub(crate) fn keys(&self) -> Vec<Arc<Key>> {
        self.keys.all()
    }

    /// Changes the limits of all keys, those there are and those to come.
    pub(crate) fn declare(&self, table: LimitTable, now: Time) {
        let mut rest = self.rest.lock();
        rest.table = table;
        for (region, day) in &rest.days {
            day.declare(rest.table.tokens_per_day(region.as_str()), now);
        }
        for key in self.keys() {
            let limits = rest.table.limits(key.name());
            #[cfg(feature = "redis")]
            let limits = key.shared_limits(limits);
            key.declare(&limits, now);
        }
    }

    #[cold]
    fn make(&self, target: &Target, config: &Arc<Config>) -> Meters {
        let now = config.clock.now();
        // Always taken before the keys' locks.
        let mut rest = self.rest.lock();
        if let Some(key) = self.keys.find(target) {
            return Meters::Key(key);
        }
        let name = QuotaKey::of(target);
        if rest.keys >= config.max_keys || rest.days.len() >= config.max_keys {
            rest.sweep(&self.keys, now);
        }
        let day = match rest.days.get(name.region()) {
            Some(day) => Some(Arc::clone(day)),
            None if rest.days.len() < config.max_keys => {
                let declared = rest.table.tokens_per_day(name.region().as_str());
                #[cfg(feature = "redis")]
                let declared = declared.map(|(limit, window)| match &config.fleet {
                    Some(_) => (limit, Window::Sliding),
                    None => (limit, window),
                });
                let day = Arc::new(Day::new(name.region(), declared, config));
                #[cfg(feature = "redis")]
                if let Some(fleet) = &config.fleet {
                    fleet.add_day(&day, now);
                }
                rest.days.insert(name.region().clone(), Arc::clone(&day));
                Some(day)
            }
            None => None,
        };
        let limits = rest.table.limits(&name);
        let (Some(day), true) = (day, rest.keys < config.max_keys) else {
            let limited = limits.requests_per_minute().is_some()
                || limits.tokens_per_minute().is_some()
                || rest.table.tokens_per_day(name.region().as_str()).is_some();
            return if limited {
                Meters::NoRoom
            } else {
                Meters::Nothing
            };
        };
        let model = rest.model(&name, config);
        #[cfg(feature = "redis")]
        let limits = config
            .fleet
            .as_ref()
            .map_or(limits, |_| limits.with_window(Window::Sliding));
        let budget = Budget::new(&limits, config);
        let key = Key::new(name, config, model, day, State::new(budget));
        #[cfg(feature = "redis")]
        if let Some(fleet) = &config.fleet {
            fleet.add(&key, now);
        }
        self.keys.insert(target.clone(), Arc::clone(&key));
        rest.keys += 1;
        Meters::Key(key)
    }
}

impl Meters {
    /// A request's input tokens, estimated. One that sets no bound on its output is given one first, where
    /// that is asked for.
    pub(crate) fn estimate(&self, request: &mut impl HasDemand) -> u64 {
        let Self::Key(key) = self else {
            return request.demand().input_tokens();
        };
        let unbounded = request.demand().max_output_tokens().is_none();
        if let Some(bound) = key.model().right_size()
            && unbounded
        {
            request.set_max_output_tokens(bound);
        }
        key.model().input_tokens(&request.demand())
    }

    /// What a request reserves that has so many input tokens.
    pub(crate) fn tokens(&self, input: u64, demand: &Demand) -> u64 {
        let output = match self {
            Self::Key(key) => key.model().output_tokens(demand),
            Self::Nothing | Self::NoRoom => demand.max_output_tokens().unwrap_or_default(),
        };
        cost::reserved(input, output)
    }

    /// The same, with the input tokens estimated.
    pub(crate) fn tokens_of(&self, demand: &Demand) -> u64 {
        let input = match self {
            Self::Key(key) => key.model().input_tokens(demand),
            Self::Nothing | Self::NoRoom => demand.input_tokens(),
        };
        self.tokens(input, demand)
    }
}

impl Rest {
    fn model(&mut self, name: &QuotaKey, config: &Config) -> Arc<Model> {
        if let Some(model) = self.models.get(name.model()) {
            return Arc::clone(model);
        }
        let base: Arc<str> = name.model().into();
        let model = Arc::new(Model::new(
            Arc::clone(&base),
            config.burndown.rate(&base),
            config.max_output_tokens.of(&base),
            match &config.estimate {
                Some(estimate) => Arc::clone(estimate),
                None => Arc::new(Calibration::new(config.quantile)),
            },
            config.right_sizing.map(OutputSizes::new),
        ));
        self.models.insert(base, Arc::clone(&model));
        model
    }

    /// Forgets the keys that nobody uses, with what 429s have taught about them, and the days and models
    /// that are left without a key. A day stays for as long as any of it is used up.
    fn sweep(&mut self, keys: &Keys, now: Time) {
        if self
            .swept_at
            .is_some_and(|at| now.since(at) < BETWEEN_SWEEPS)
        {
            self.forget_one(keys, now);
            return;
        }
        self.swept_at = Some(now);
        self.keys -= keys.forget(|key| key.is_idle(now));
        self.days
            .retain(|_, day| Arc::strong_count(day) > 1 || !day.is_idle(now));
        self.models.retain(|_, model| Arc::strong_count(model) > 1);
    }

    /// Forgets the first idle key of a few.
    fn forget_one(&mut self, keys: &Keys, now: Time) {
        let Some(name) = keys.forget_one(|key| key.is_idle(now)) else {
            return;
        };
        self.keys -= 1;
        let model = self.models.get(name.model());
        if model.is_some_and(|model| Arc::strong_count(model) == 1) {
            self.models.remove(name.model());
        }
    }
}
