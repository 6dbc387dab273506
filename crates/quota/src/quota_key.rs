use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use tower_bedrock_core::{Region, Route, ServiceTier, Target};

/// What one set of limits belongs to: a base model, called in a Region, in one of the ways that Bedrock
/// counts apart.
///
/// ```
/// use tower_bedrock_core::Target;
/// use tower_bedrock_quota::{QuotaKey, QuotaRoute};
///
/// let target = Target::parse("eu-west-1", "eu.amazon.nova-lite-v1:0")?;
/// let key = QuotaKey::of(&target);
/// assert_eq!(key.model(), "amazon.nova-lite-v1:0");
/// assert_eq!(key.route(), QuotaRoute::CrossRegion);
/// assert_eq!(key.to_string(), "eu-west-1/cross-region/amazon.nova-lite-v1:0");
/// # Ok::<(), tower_bedrock_core::InvalidTarget>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct QuotaKey {
    region: Region,
    route: QuotaRoute,
    model: Arc<str>,
    reserved_tier: bool,
    /// Of all the above.
    hash: u64,
}

/// The ways of calling a model that have quotas of their own, named as Service Quotas names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum QuotaRoute {
    /// "On-demand": in the Region that is called.
    OnDemand,
    /// "Cross-region": through a geographic inference profile. All geographies that a Region has profiles
    /// for share one quota.
    CrossRegion,
    /// "Global cross-region": through a global inference profile.
    Global,
    /// Through capacity of its own.
    Dedicated,
    /// Not told by the model id: an application inference profile, a prompt, a prompt router.
    Undetermined,
}

impl QuotaKey {
    /// The key whose quota a call to `target` uses.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        Self {
            region: target.region().clone(),
            route: target.model().route().into(),
            model: target.model().base().into(),
            reserved_tier: is_reserved(target),
            hash: Self::hash_of(target),
        }
    }

    /// The Region that is called.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The way the model is called.
    #[must_use]
    pub const fn route(&self) -> QuotaRoute {
        self.route
    }

    /// The base model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether this is the reserved tier's quota. Priority, default and flex share the other one.
    #[must_use]
    pub const fn is_reserved_tier(&self) -> bool {
        self.reserved_tier
    }
}

// === found by a target, of which nothing is copied ===

impl QuotaKey {
    /// What the key of a target hashes to. What the target hashed is spread well already; the few keys that are told
    /// apart by the rest may be close together.
    #[inline]
    pub(crate) fn hash_of(target: &Target) -> u64 {
        let route = QuotaRoute::from(target.model().route());
        target
            .base_hash()
            .wrapping_add(2 * route as u64 + u64::from(is_reserved(target)))
    }

    /// The same of this key.
    #[inline]
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether it is this target's key.
    #[inline]
    pub(crate) fn is_of(&self, target: &Target) -> bool {
        self.hash == Self::hash_of(target)
            && *self.model == *target.model().base()
            && self.region == *target.region()
            && self.route == target.model().route().into()
            && self.reserved_tier == is_reserved(target)
    }
}

fn is_reserved(target: &Target) -> bool {
    target.service_tier() == Some(ServiceTier::Reserved)
}

impl Hash for QuotaKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl From<Route> for QuotaRoute {
    fn from(route: Route) -> Self {
        match route {
            Route::OnDemand => Self::OnDemand,
            Route::Geographic(_) => Self::CrossRegion,
            Route::Global => Self::Global,
            Route::Dedicated => Self::Dedicated,
            _ => Self::Undetermined,
        }
    }
}

impl fmt::Debug for QuotaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaKey")
            .field("region", &self.region)
            .field("route", &self.route)
            .field("model", &self.model)
            .field("reserved_tier", &self.reserved_tier)
            .finish()
    }
}

impl fmt::Display for QuotaRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnDemand => "on-demand",
            Self::CrossRegion => "cross-region",
            Self::Global => "global",
            Self::Dedicated => "dedicated",
            Self::Undetermined => "undetermined",
        })
    }
}

/// `region/route/model`, and `@reserved` for the reserved tier.
impl fmt::Display for QuotaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.region, self.route, self.model)?;
        if self.reserved_tier {
            f.write_str("@reserved")?;
        }
        Ok(())
    }
}
