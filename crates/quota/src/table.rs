use tower_bedrock_core::{ModelId, Region};
use wildmatch::WildMatch;

use crate::{Limits, QuotaKey, QuotaRoute, Window};

/// Which quota keys have which limits.
///
/// ```
/// use tower_bedrock_quota::{LimitTable, Limits, QuotaPattern};
///
/// let table = LimitTable::new()
///     // This account's raised quota of one model, called through its profile in one Region ...
///     .with(
///         QuotaPattern::model("anthropic.claude-sonnet-4-2*").in_region("us-east-1").cross_region(),
///         Limits::new().with_tokens_per_minute(2_000_000),
///     )
///     // ... and what all others have.
///     .with(QuotaPattern::any(), Limits::new().with_tokens_per_minute(200_000))
///     .with_tokens_per_day("us-*", 100_000_000);
/// ```
///
/// Patterns are tried in the order they were added, and the first that matches decides. A key that none
/// matches has no known limits.
#[derive(Clone, Debug, Default)]
pub struct LimitTable {
    pub(crate) rules: Vec<(QuotaPattern, Limits)>,
    pub(crate) days: Vec<(WildMatch, u64, Window)>,
}

/// Quota keys that one set of limits is for.
#[derive(Clone, Debug)]
pub struct QuotaPattern {
    region: WildMatch,
    route: Option<QuotaRoute>,
    reserved_tier: bool,
    model: ModelPattern,
}

#[derive(Clone, Debug)]
enum ModelPattern {
    Glob(WildMatch),
    #[cfg(feature = "service-quotas")]
    Named(crate::service_quotas::ModelName),
}

impl LimitTable {
    /// A table that knows of no limits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rules: Vec::new(),
            days: Vec::new(),
        }
    }

    /// Adds limits for the keys that match a pattern, and no earlier one.
    #[must_use]
    pub fn with(mut self, pattern: QuotaPattern, limits: Limits) -> Self {
        self.rules.push((pattern, limits));
        self
    }

    /// Adds the tokens a day of the Regions that match a glob (`*` any run of characters, `?` any one), and
    /// no earlier one. All models in a Region share them: since September 2026 Bedrock counts tokens a day account-
    /// and Region-wide. The window slides; see [`with_tokens_per_day_in`](Self::with_tokens_per_day_in).
    #[must_use]
    pub fn with_tokens_per_day(self, region: &str, tokens: u64) -> Self {
        self.with_tokens_per_day_in(Window::Sliding, region, tokens)
    }

    /// The same with a window of the given shape.
    #[must_use]
    pub fn with_tokens_per_day_in(mut self, window: Window, region: &str, tokens: u64) -> Self {
        self.days.push((WildMatch::new(region), tokens, window));
        self
    }

    pub(crate) fn limits(&self, key: &QuotaKey) -> Limits {
        let rule = self.rules.iter().find(|(pattern, _)| pattern.matches(key));
        rule.map_or(Limits::new(), |(_, limits)| *limits)
    }

    pub(crate) fn tokens_per_day(&self, region: &str) -> Option<(u64, Window)> {
        let (_, tokens, window) = self.days.iter().find(|(glob, ..)| glob.matches(region))?;
        Some((*tokens, *window))
    }

    /// The first limit out of range: its name and value.
    pub(crate) fn invalid(&self) -> Option<(&'static str, u64)> {
        let minutes = self.rules.iter().flat_map(|(_, limits)| {
            [
                ("requests_per_minute", limits.requests_per_minute()),
                ("tokens_per_minute", limits.tokens_per_minute()),
            ]
        });
        let days = self
            .days
            .iter()
            .map(|(_, tokens, _)| ("tokens_per_day", Some(*tokens)));
        minutes
            .chain(days)
            .filter_map(|(field, value)| Some((field, value?)))
            .find(|(_, value)| !(1..=Limits::MAX).contains(value))
    }
}

impl QuotaPattern {
    /// Every key but those of the reserved tier.
    #[must_use]
    pub fn any() -> Self {
        Self::model("*")
    }

    /// The keys of the base models that match a glob: `*` any run of characters, `?` any one.
    ///
    /// A glob with the prefix of an inference profile means the base model, called that way: `us.acme.large-1`
    /// is `acme.large-1`, [`cross_region`](Self::cross_region), and `global.acme.large-1` is the same,
    /// [`global`](Self::global). All geographic prefixes mean the same keys: those that a Region has profiles
    /// for share one quota. An ARN means the keys that calls by it have, in its Region.
    #[must_use]
    pub fn model(glob: &str) -> Self {
        if let Some(id) = arn(glob) {
            let region = id.region().map_or("*", Region::as_str);
            let model = Self::new(ModelPattern::Glob(WildMatch::new(id.base())));
            return model.in_region(region).by_route(id.route().into());
        }
        let (route, base) = ModelId::split_prefix(glob);
        Self {
            route: route.map(QuotaRoute::from),
            ..Self::new(ModelPattern::Glob(WildMatch::new(base)))
        }
    }

    /// The keys of the model that Service Quotas calls so.
    #[cfg(feature = "service-quotas")]
    pub(crate) fn named(name: crate::service_quotas::ModelName) -> Self {
        Self::new(ModelPattern::Named(name))
    }

    fn new(model: ModelPattern) -> Self {
        Self {
            region: WildMatch::new("*"),
            route: None,
            reserved_tier: false,
            model,
        }
    }

    /// Only in the Regions that match a glob.
    #[must_use]
    pub fn in_region(mut self, glob: &str) -> Self {
        self.region = WildMatch::new(glob);
        self
    }

    /// Only where called in one way.
    #[must_use]
    pub const fn by_route(mut self, route: QuotaRoute) -> Self {
        self.route = Some(route);
        self
    }

    /// Only where called in the Region itself.
    #[must_use]
    pub const fn on_demand(self) -> Self {
        self.by_route(QuotaRoute::OnDemand)
    }

    /// Only where called through a geographic inference profile.
    #[must_use]
    pub const fn cross_region(self) -> Self {
        self.by_route(QuotaRoute::CrossRegion)
    }

    /// Only where called through a global inference profile.
    #[must_use]
    pub const fn global(self) -> Self {
        self.by_route(QuotaRoute::Global)
    }

    /// The reserved tier's quota, and not the one that the other tiers share.
    #[must_use]
    pub const fn reserved_tier(mut self) -> Self {
        self.reserved_tier = true;
        self
    }

    /// Whether it is for this key.
    #[must_use]
    pub fn matches(&self, key: &QuotaKey) -> bool {
        self.reserved_tier == key.is_reserved_tier()
            && self.route.is_none_or(|route| route == key.route())
            && self.region.matches(key.region().as_str())
            && match &self.model {
                ModelPattern::Glob(glob) => glob.matches(key.model()),
                #[cfg(feature = "service-quotas")]
                ModelPattern::Named(name) => name.matches(key.model()),
            }
    }
}

/// The id, where it is an ARN.
fn arn(id: &str) -> Option<ModelId> {
    id.starts_with("arn:").then(|| id.parse().ok()).flatten()
}
