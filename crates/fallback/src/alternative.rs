use std::fmt;

use tower_bedrock_core::{Geography, ModelId, Region, Route, ServiceTier, Target};

/// What one alternative changes about the target that was asked for. What it does not name stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    model: Option<ModelId>,
    region: Option<Region>,
    service_tier: Option<ServiceTier>,
}

impl Alternative {
    /// Another model, in the Region that was asked for.
    #[must_use]
    pub const fn model(model: ModelId) -> Self {
        Self {
            model: Some(model),
            region: None,
            service_tier: None,
        }
    }

    /// The same model in another Region.
    #[must_use]
    pub const fn region(region: Region) -> Self {
        Self {
            model: None,
            region: Some(region),
            service_tier: None,
        }
    }

    /// The same model in another service tier.
    #[must_use]
    pub const fn service_tier(tier: ServiceTier) -> Self {
        Self {
            model: None,
            region: None,
            service_tier: Some(tier),
        }
    }

    /// Also in another Region.
    #[must_use]
    pub fn in_region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Also in another service tier.
    #[must_use]
    pub const fn in_service_tier(mut self, tier: ServiceTier) -> Self {
        self.service_tier = Some(tier);
        self
    }

    /// Where a call leads that was going to `requested`.
    #[must_use]
    pub fn resolve(&self, requested: &Target) -> Target {
        let (region, model, tier) = self.leads_to(requested);
        let target = Target::new(region.clone(), model.clone());
        match tier {
            Some(tier) => target.with_service_tier(tier),
            None => target,
        }
    }

    /// The parts of what [`resolve`](Self::resolve) makes, to be compared.
    pub(crate) fn leads_to<'a>(
        &'a self,
        requested: &'a Target,
    ) -> (&'a Region, &'a ModelId, Option<ServiceTier>) {
        (
            self.region.as_ref().unwrap_or(requested.region()),
            self.model.as_ref().unwrap_or(requested.model()),
            self.service_tier.or(requested.service_tier()),
        )
    }

    /// Whether a call to `chain_model` would not go anywhere else by it.
    pub(crate) fn changes_nothing(&self, chain_model: Option<&ModelId>) -> bool {
        let same_model = self.model.is_none() || self.model.as_ref() == chain_model;
        same_model && self.region.is_none() && self.service_tier.is_none()
    }

    pub(crate) fn stays_within(&self, geography: Geography, chain_model: Option<&ModelId>) -> bool {
        self.region
            .as_ref()
            .is_none_or(|region| lies_in(region, geography))
            && self
                .model
                .as_ref()
                .or(chain_model)
                .is_none_or(|model| model_stays_within(model, geography))
    }
}

fn lies_in(region: &Region, geography: Geography) -> bool {
    Geography::of(region).is_some_and(|of| geography.contains(of))
}

/// What could lead anywhere does not.
pub(crate) fn model_stays_within(model: &ModelId, geography: Geography) -> bool {
    match model.route() {
        Route::OnDemand | Route::Dedicated => model
            .region()
            .is_none_or(|region| lies_in(region, geography)),
        Route::Geographic(profile) => geography.contains(profile),
        _ => false,
    }
}

/// What it changes, as `region/model@tier`; what it leaves is left out.
impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(region) = &self.region {
            write!(f, "{region}/")?;
        }
        match &self.model {
            Some(model) => write!(f, "{model}")?,
            None => f.write_str("the same model")?,
        }
        match self.service_tier {
            Some(tier) => write!(f, "@{tier}"),
            None => Ok(()),
        }
    }
}
