//! The control calls: what an operator sets while the simulator runs.

use tokio::time::Duration;
use tower_bedrock_core::{ModelId, Region};

use super::Engine;
use crate::{
    BackgroundCaller, Config, ConfigError, FaultSpec, ModelSettings, model::Model,
    quota::Background, regions,
};

/// The most models there can be, so that a script gone wrong cannot grow without bound.
const MAX_MODELS: usize = 1_000;

/// The most background callers: each is looked at for every call.
const MAX_BACKGROUND: usize = 20;

impl Engine {
    /// What the file says, on top of what is built in.
    pub(super) fn configure(&mut self, config: &Config) -> Result<(), ConfigError> {
        config.validate()?;
        let start = Duration::ZERO;
        self.known_region("region", &self.default_region)?;
        if let Some(limit) = config.tokens_per_day {
            for region_day in self.regions.values_mut() {
                region_day.set(Some(limit), start);
            }
        }
        for (id, settings) in &config.models {
            let path = format!("models.{id:?}");
            settings.validate(&path)?;
            let id = parse(&path, id)?;
            let model = self.model(&id)?;
            model.set(settings);
            model
                .routes
                .entry(id.route())
                .or_default()
                .set_limits(settings);
        }
        for quota in &config.quotas {
            let id = parse("quotas.model", &quota.model)?;
            let region = parse("quotas.region", &quota.region)?;
            let settings = quota.settings();
            settings.validate("quotas")?;
            self.known_route("quotas.model", &region, &id)?;
            self.set_quota(start, &region, &id, &settings);
        }
        for caller in &config.background {
            self.add_background(start, caller)?;
        }
        for fault in &config.faults {
            self.add_fault(start, fault.clone())?;
        }
        Ok(())
    }

    pub(crate) fn set_model(
        &mut self,
        now: Duration,
        id: &ModelId,
        region: Option<&Region>,
        settings: &ModelSettings,
    ) -> Result<(), ConfigError> {
        let now = self.advance(now);
        let region = region
            .or(id.region())
            .unwrap_or(&self.default_region)
            .clone();
        settings.validate("model")?;
        self.known_region("region", &region)?;
        let elsewhere = id.region().is_some_and(|of_arn| *of_arn != region);
        if elsewhere || !regions::has_route(&region, id.route()) {
            let expected = format!("a Region from which {id} can be called");
            return Err(ConfigError::invalid("region", region, expected));
        }
        self.model(id)?.set(settings);
        self.set_quota(now, &region, id, settings);
        Ok(())
    }

    pub(crate) fn add_background(
        &mut self,
        now: Duration,
        caller: &BackgroundCaller,
    ) -> Result<(), ConfigError> {
        let now = self.advance(now);
        caller.validate()?;
        let id = parse("background.model", &caller.model)?;
        let region = match &caller.region {
            Some(region) => parse("background.region", region)?,
            None => self.default_region.clone(),
        };
        self.known_route("background.model", &region, &id)?;
        if self.background.len() >= MAX_BACKGROUND {
            return Err(ConfigError::invalid(
                "background",
                format!("{} long", self.background.len()),
                format!("at most {MAX_BACKGROUND} callers"),
            ));
        }
        if let Some(quota) = self.quota(now, &region, &id) {
            self.background
                .push(Background::new(caller, quota, region, now));
        }
        Ok(())
    }

    pub(crate) fn add_fault(
        &mut self,
        now: Duration,
        fault: FaultSpec,
    ) -> Result<u64, ConfigError> {
        let now = self.advance(now);
        self.script.add(fault, now)
    }

    pub(crate) fn remove_fault(&mut self, id: u64) -> bool {
        self.script.remove(id)
    }

    pub(crate) fn clear_faults(&mut self) {
        self.script.clear();
    }

    pub(crate) fn clear_ledger(&mut self) {
        self.book.clear();
    }

    /// Faults, ledger and quota levels; the faults of the file come back.
    pub(crate) fn reset(&mut self, now: Duration, faults: &[FaultSpec]) {
        let now = self.advance(now);
        self.book.clear();
        self.script.clear();
        for fault in faults {
            // It was accepted at the start, so it is again.
            let _ = self.script.add(fault.clone(), now);
        }
        for quota in &mut self.quotas {
            quota.reset(now);
        }
        for region_day in self.regions.values_mut() {
            region_day.reset(now);
        }
    }

    /// The base model of an id, made if it is new, callable by the id's route.
    fn model(&mut self, id: &ModelId) -> Result<&mut Model, ConfigError> {
        if !self.models.contains_key(id.base()) && self.models.len() >= MAX_MODELS {
            return Err(ConfigError::invalid(
                "models",
                format!("{} long", self.models.len()),
                format!("at most {MAX_MODELS} models"),
            ));
        }
        let model = self
            .models
            .entry(id.base().to_owned())
            .or_insert_with(|| Model::new(id.base()));
        model.routes.entry(id.route()).or_default();
        Ok(model)
    }

    fn set_quota(
        &mut self,
        now: Duration,
        region: &Region,
        id: &ModelId,
        settings: &ModelSettings,
    ) {
        if let Some(number) = self.quota(now, region, id)
            && let Some(quota) = self.quotas.get_mut(number)
        {
            quota.set(settings, now);
        }
    }

    fn known_region(&self, key: &str, region: &Region) -> Result<(), ConfigError> {
        if self.regions.contains_key(region) {
            return Ok(());
        }
        Err(ConfigError::invalid(
            key,
            region,
            "a Region that Bedrock is in, such as us-east-1",
        ))
    }

    /// A model that is there and can be called so in this Region.
    fn known_route(&self, key: &str, region: &Region, id: &ModelId) -> Result<(), ConfigError> {
        self.resolve(region, id).map(|_| ()).map_err(|error| {
            let expected = format!(
                "a model that can be called in {region} ({})",
                error.message()
            );
            ConfigError::invalid(key, id, expected)
        })
    }
}

fn parse<T>(key: &str, value: &str) -> Result<T, ConfigError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    value
        .parse()
        .map_err(|error: T::Err| ConfigError::invalid(key, format!("{value:?}"), error.to_string()))
}
