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

/// A key, borrowed from a target: what a call is looked up by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRef<'a> {
    region: &'a Region,
    route: QuotaRoute,
    model: &'a str,
    reserved_tier: bool,
    hash: u64,
}

impl QuotaKey {
    /// The key whose quota a call to `target` uses.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        KeyRef::of(target).to_key()
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

impl<'a> KeyRef<'a> {
    pub(crate) fn of(target: &'a Target) -> Self {
        let route = QuotaRoute::from(target.model().route());
        let reserved_tier = target.service_tier() == Some(ServiceTier::Reserved);
        Self {
            region: target.region(),
            route,
            model: target.model().base(),
            reserved_tier,
            // What hashes it further is to spread the few that are close together.
            hash: target
                .base_hash()
                .wrapping_add(2 * route as u64 + u64::from(reserved_tier)),
        }
    }

    pub(crate) fn to_key(self) -> QuotaKey {
        QuotaKey {
            region: self.region.clone(),
            route: self.route,
            model: self.model.into(),
            reserved_tier: self.reserved_tier,
            hash: self.hash,
        }
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

// === a key and its borrowed form hash alike ===

impl Hash for QuotaKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for KeyRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl KeyRef<'_> {
    /// Whether it is this key's borrowed form.
    #[inline]
    pub(crate) fn is_of(&self, key: &QuotaKey) -> bool {
        self.model == &*key.model
            && self.region == &key.region
            && self.route == key.route
            && self.reserved_tier == key.reserved_tier
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
