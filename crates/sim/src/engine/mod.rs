//! The engine: every decision, and no clock. Times are simulated, since the simulator's start.

mod admission;
mod control;
mod validate;

use std::collections::HashMap;

use rand::{SeedableRng, rngs::StdRng};
use tokio::time::Duration;
use tower_bedrock_core::{ModelId, Region};

pub(crate) use self::admission::{Ending, InFlight};
use crate::{
    Config, ConfigError, Input, Ledger, QuotaLevels, ServiceError,
    catalog::MODELS,
    fault::Script,
    ledger::{Book, LedgerEntry},
    model::Model,
    quota::{Background, Limit, Quota, day_limit},
};

#[derive(Debug)]
pub(crate) struct Engine {
    default_region: Region,
    /// By base model.
    models: HashMap<String, Model>,
    /// Models know theirs by number. None is ever removed.
    quotas: Vec<Quota>,
    /// The tokens a day of every Region there is.
    regions: HashMap<Region, Limit>,
    background: Vec<Background>,
    script: Script,
    book: Book,
    random: StdRng,
    now: Duration,
}

impl Engine {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut engine = Self {
            default_region: config.default_region()?,
            models: HashMap::new(),
            quotas: Vec::new(),
            regions: crate::regions::all()
                .map(|region| (region, day_limit()))
                .collect(),
            background: Vec::new(),
            // Two sources, so that a fault more or less leaves the answers as they were.
            script: Script::new(config.seed),
            random: StdRng::seed_from_u64(config.seed.wrapping_add(1)),
            book: Book::new(config.ledger_entries),
            now: Duration::ZERO,
        };
        if config.builtin_models {
            for entry in MODELS {
                let settings = entry.settings();
                let mut model = Model::new(entry.base);
                model.set(&settings);
                for route in entry.routes {
                    model
                        .routes
                        .entry(*route)
                        .or_default()
                        .set_limits(&settings);
                }
                engine.models.insert(entry.base.to_owned(), model);
            }
        }
        engine.configure(config)?;
        Ok(engine)
    }

    /// Lets the background callers do what they have done until now.
    ///
    /// Threads may come in another order than they read the clock; in here time never runs backwards.
    fn advance(&mut self, now: Duration) -> Duration {
        self.now = self.now.max(now);
        for caller in &mut self.background {
            caller.skip_to(self.now);
        }
        // One after the other, as they came: a window wants its events in order.
        while let Some((at, caller)) = self
            .background
            .iter_mut()
            .filter_map(|caller| Some((caller.next_at()?, caller)))
            .min_by_key(|(at, _)| *at)
            .filter(|(at, _)| *at <= self.now)
        {
            let (requests, tokens) = caller.tick();
            if let Some(quota) = self.quotas.get_mut(caller.quota)
                && let Some(region_day) = self.regions.get_mut(&caller.region)
            {
                quota.take_background(region_day, at, requests, tokens);
            }
        }
        self.now
    }

    /// The model behind an id as called.
    fn resolve(&self, region: &Region, id: &ModelId) -> Result<&Model, ServiceError> {
        validate::resolve(&self.models, &self.regions, region, id)
    }

    /// The number of a model's quota by the way it is called. The first to ask begins it.
    fn quota(&mut self, now: Duration, region: &Region, id: &ModelId) -> Option<usize> {
        let model = self.models.get_mut(id.base())?;
        let limits = model.routes.get(&id.route())?;
        let number = model
            .quotas
            .entry((region.clone(), id.route()))
            .or_insert_with(|| {
                let mut quota = Quota::new();
                quota.set(limits, now);
                self.quotas.push(quota);
                self.quotas.len() - 1
            });
        Some(*number)
    }

    /// A quota and its Region's.
    fn quota_and_region(
        &mut self,
        number: usize,
        region: &Region,
    ) -> Option<(&mut Quota, &mut Limit)> {
        Some((self.quotas.get_mut(number)?, self.regions.get_mut(region)?))
    }

    /// How full the quotas are for a model as called, or `None` where it cannot be called so.
    pub(crate) fn levels(
        &mut self,
        now: Duration,
        region: &Region,
        model: &ModelId,
    ) -> Option<QuotaLevels> {
        let now = self.advance(now);
        self.resolve(region, model).ok()?;
        let number = self.quota(now, region, model)?;
        let (quota, region_day) = self.quota_and_region(number, region)?;
        Some(quota.levels(region_day, now))
    }

    pub(crate) fn count_tokens(
        &self,
        region: &Region,
        model: &ModelId,
        input: &Input,
    ) -> Result<u64, ServiceError> {
        let model = self.resolve(region, model)?;
        Ok(input.tokens(model.tokenizer_ratio))
    }

    /// Writes down what a face refused by itself.
    pub(crate) fn refused(
        &mut self,
        now: Duration,
        operation: &str,
        region: &Region,
        model: &str,
        error: &ServiceError,
    ) {
        let now = self.advance(now);
        let operation: String = operation.chars().take(64).collect();
        let model: String = model.chars().take(ModelId::MAX_LEN).collect();
        let mut entry = LedgerEntry::new(now, operation.into(), region.as_str(), &model);
        entry.refuse(now, error);
        self.book.write(entry);
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.book.read()
    }
}
