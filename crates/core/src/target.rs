use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    str::FromStr,
    sync::{Arc, LazyLock},
};

use crate::{Context, InvalidModelId, InvalidRegion, ModelId, Region};

/// Where a call goes: a model, in a Region, in a service tier.
///
/// ```
/// use tower_bedrock_core::Target;
///
/// let target = Target::parse("us-west-2", "global.anthropic.claude-sonnet-4-5-20250929-v1:0")?;
/// assert_eq!(target.to_string(), "us-west-2/global.anthropic.claude-sonnet-4-5-20250929-v1:0");
/// # Ok::<(), tower_bedrock_core::InvalidTarget>(())
/// ```
///
/// The Region is the one that is called: with a cross-Region inference profile, the source Region,
/// which is the one whose quota is used.
///
/// Policies look things up by target, so it is made for that: a clone is one reference count, clones compare
/// by their address, and the names are hashed once, when it is made. Keep one and clone it where you can.
#[derive(Clone)]
pub struct Target {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    region: Region,
    model: ModelId,
    service_tier: Option<ServiceTier>,
    /// Of all the above.
    hash: u64,
    /// Of the Region and the base model.
    base_hash: u64,
}

/// Bedrock's service tiers. A target without one leaves the request's own choice as it is.
///
/// Priority, default and flex share one quota; reserved has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceTier {
    /// Served before the others, at a higher price.
    Priority,
    /// What a request gets that names no tier.
    Default,
    /// Served after the others, at a lower price.
    Flex,
    /// Capacity bought in advance.
    Reserved,
}

/// A Region or a model id that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The Region's name.
    #[error(transparent)]
    Region(#[from] InvalidRegion),
    /// The model id.
    #[error(transparent)]
    Model(#[from] InvalidModelId),
}

/// A request that says where it is going, and under which circumstances.
///
/// ```
/// use tower_bedrock_core::{HasTarget, Target};
///
/// struct MyRequest {
///     target: Target,
///     prompt: String,
/// }
///
/// impl HasTarget for MyRequest {
///     fn target(&self) -> &Target {
///         &self.target
///     }
///
///     fn set_target(&mut self, target: Target) {
///         self.target = target;
///     }
/// }
/// ```
pub trait HasTarget {
    /// Where the call is going.
    fn target(&self) -> &Target;

    /// Sends the call elsewhere.
    fn set_target(&mut self, target: Target);

    /// Deadline, priority and tenant. Requests that have none need not implement this.
    fn context(&self) -> &Context {
        static NONE: Context = Context::new();
        &NONE
    }

    /// Deadline, priority and tenant, to be changed; `None` where the request has no place for them.
    fn context_mut(&mut self) -> Option<&mut Context> {
        None
    }
}

impl Target {
    /// A model in a Region.
    #[must_use]
    pub fn new(region: Region, model: ModelId) -> Self {
        Self {
            shared: Arc::new(Shared::new(region, model, None)),
        }
    }

    /// A model in a Region, from their names.
    ///
    /// # Errors
    ///
    /// [`InvalidTarget`] says which of the two cannot be one, and what is accepted.
    pub fn parse(region: &str, model: &str) -> Result<Self, InvalidTarget> {
        Ok(Self::new(region.parse()?, model.parse()?))
    }

    /// The same target in the given service tier.
    #[must_use]
    pub fn with_service_tier(mut self, tier: ServiceTier) -> Self {
        let Shared { region, model, .. } = Arc::unwrap_or_clone(self.shared);
        self.shared = Arc::new(Shared::new(region, model, Some(tier)));
        self
    }

    /// The Region that is called.
    #[must_use]
    #[inline]
    pub fn region(&self) -> &Region {
        &self.shared.region
    }

    /// The model that is asked for.
    #[must_use]
    #[inline]
    pub fn model(&self) -> &ModelId {
        &self.shared.model
    }

    /// The service tier, or `None` to leave the request's own choice as it is.
    #[must_use]
    #[inline]
    pub fn service_tier(&self) -> Option<ServiceTier> {
        self.shared.service_tier
    }

    /// A hash of the Region and of the base model, made once: for maps that don't tell ids of one model apart by more
    /// than a few bits. It is another one in every process.
    #[must_use]
    #[inline]
    pub fn base_hash(&self) -> u64 {
        self.shared.base_hash
    }
}

impl Shared {
    fn new(region: Region, model: ModelId, service_tier: Option<ServiceTier>) -> Self {
        // Seeded anew in every process: clients name models, and must not be able to name some that collide.
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self {
            hash: STATE.hash_one((&region, &model, service_tier)),
            base_hash: STATE.hash_one((&region, model.base())),
            region,
            model,
            service_tier,
        }
    }
}

// === clones compare by address, and all hash as they were hashed once ===

impl PartialEq for Target {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
            || (self.shared.hash == other.shared.hash
                && self.shared.region == other.shared.region
                && self.shared.model == other.shared.model
                && self.shared.service_tier == other.shared.service_tier)
    }
}

impl Eq for Target {}

impl Hash for Target {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.shared.hash);
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("region", self.region())
            .field("model", self.model())
            .field("service_tier", &self.service_tier())
            .finish()
    }
}

impl ServiceTier {
    /// The tier as Bedrock writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Default => "default",
            Self::Flex => "flex",
            Self::Reserved => "reserved",
        }
    }
}

/// A service tier's name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service tier {0:?} is not known: expected one of priority, default, flex, reserved")]
pub struct InvalidServiceTier(String);

impl FromStr for ServiceTier {
    type Err = InvalidServiceTier;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Priority, Self::Default, Self::Flex, Self::Reserved]
            .into_iter()
            .find(|tier| tier.as_str() == name)
            .ok_or_else(|| InvalidServiceTier(name.chars().take(64).collect()))
    }
}

impl fmt::Display for ServiceTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `region/model`, and `@tier` where one is set.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region(), self.model())?;
        match self.service_tier() {
            Some(tier) => write!(f, "@{tier}"),
            None => Ok(()),
        }
    }
}
