use std::sync::Arc;

use hashbrown::HashMap;
use tokio::time::Duration;
use tower_bedrock_core::{Geography, ModelId, Target};

use crate::{Alternative, alternative::model_stays_within, itinerary::MAX_HOPS};

/// The alternatives to one model, in the order they are tried.
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_core::Geography;
/// use tower_bedrock_fallback::{Alternative, Chain};
///
/// let chain = Chain::new("us.anthropic.claude-sonnet-4-20250514-v1:0".parse()?)
///     // The same model, called in another Region ...
///     .or(Alternative::region("us-west-2".parse()?))
///     // ... then another model.
///     .or(Alternative::model("us.amazon.nova-pro-v1:0".parse()?))
///     // Nothing that could leave the United States is accepted.
///     .within(Geography::Us)
///     // A hop that has not answered after ten seconds is cancelled.
///     .hop_timeout(Duration::from_secs(10));
/// # let _ = chain;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It is checked when a [`FallbackLayer`](crate::FallbackLayer) is built from it.
#[derive(Clone, Debug)]
pub struct Chain {
    /// `None` in the chain for every model that has none of its own.
    model: Option<ModelId>,
    alternatives: Vec<Alternative>,
    within: Option<Geography>,
    hop_timeout: Option<Duration>,
}

/// A chain that cannot be right, found when the layer is built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChain {
    /// A chain without alternatives, or with more than fit.
    #[error("fallback chain of {chain}: {count} alternatives, expected 1 to {max}", max = MAX_HOPS - 1)]
    Length {
        /// The chain's model.
        chain: String,
        /// Its alternatives.
        count: usize,
    },
    /// An alternative that leads where the call already was.
    #[error(
        "fallback chain of {chain}: alternative {position} leads to a target that comes before it"
    )]
    Repeated {
        /// The chain's model.
        chain: String,
        /// Which alternative, counted from 1.
        position: usize,
    },
    /// An alternative that may leave the geography the chain is confined to.
    #[error(
        "fallback chain of {chain}: alternative {position} ({alternative}) may leave {within}, which the chain is confined to"
    )]
    Residency {
        /// The chain's model.
        chain: String,
        /// Which alternative, counted from 1.
        position: usize,
        /// Where it leads.
        alternative: String,
        /// The geography.
        within: Geography,
    },
    /// The chain's own model, its first hop, may leave the geography the chain is confined to.
    #[error(
        "fallback chain of {chain}: the model itself may leave {within}, which the chain is confined to"
    )]
    ModelResidency {
        /// The chain's model.
        chain: String,
        /// The geography.
        within: Geography,
    },
    /// A hop's timeout of zero.
    #[error("fallback chain of {chain}: hop_timeout is 0s, expected more than that")]
    HopTimeout {
        /// The chain's model.
        chain: String,
    },
    /// Two chains for one model.
    #[error("fallback chain of {chain}: there are two")]
    Duplicate {
        /// The chains' model.
        chain: String,
    },
}

impl Chain {
    /// A chain, still without alternatives, for calls to the model with exactly this id.
    #[must_use]
    pub const fn new(model: ModelId) -> Self {
        Self {
            model: Some(model),
            alternatives: Vec::new(),
            within: None,
            hop_timeout: None,
        }
    }

    /// A chain, still without alternatives, for calls to every model that has no chain of its own.
    #[must_use]
    pub const fn for_any_model() -> Self {
        Self {
            model: None,
            alternatives: Vec::new(),
            within: None,
            hop_timeout: None,
        }
    }

    /// Adds an alternative, to be tried after those there are.
    #[must_use]
    pub fn or(mut self, alternative: Alternative) -> Self {
        self.alternatives.push(alternative);
        self
    }

    /// Confines the chain to a geography. The chain's model and every alternative are checked: a geographic
    /// profile must stay in it, a Region that is named must lie in it, and what could lead anywhere (a global
    /// profile, an application profile, a prompt router) is refused. What only the caller names is the
    /// caller's choice: the Region, where an alternative names none, and in a chain
    /// [for any model](Self::for_any_model) the model.
    #[must_use]
    pub const fn within(mut self, geography: Geography) -> Self {
        self.within = Some(geography);
        self
    }

    /// Cancels a hop that has not answered (a stream: not begun) after this long, and goes on to the next.
    /// The last hop may take what the call's deadline leaves, unless a degraded responder stands behind it.
    /// Time spent on waiting for the inner service to be ready counts. None by default.
    #[must_use]
    pub const fn hop_timeout(mut self, timeout: Duration) -> Self {
        self.hop_timeout = Some(timeout);
        self
    }

    pub(crate) const fn timeout(&self) -> Option<Duration> {
        self.hop_timeout
    }

    /// Hops of a call: the target that was asked for, and the alternatives.
    pub(crate) fn hops(&self) -> usize {
        1 + self.alternatives.len()
    }

    pub(crate) fn target(&self, hop: usize, requested: &Target) -> Target {
        match hop
            .checked_sub(1)
            .and_then(|index| self.alternatives.get(index))
        {
            Some(alternative) => alternative.resolve(requested),
            None => requested.clone(),
        }
    }

    /// Whether a hop leads where an earlier one did, which depends on where the caller started.
    pub(crate) fn is_repeated(&self, hop: usize, requested: &Target) -> bool {
        let leads_to = |hop: usize| {
            let alternative = hop
                .checked_sub(1)
                .and_then(|index| self.alternatives.get(index));
            alternative.map_or(
                (
                    requested.region(),
                    requested.model(),
                    requested.service_tier(),
                ),
                |alternative| alternative.leads_to(requested),
            )
        };
        (0..hop).any(|earlier| leads_to(earlier) == leads_to(hop))
    }

    fn name(&self) -> String {
        self.model
            .as_ref()
            .map_or_else(|| "any model".to_owned(), ModelId::to_string)
    }

    fn check(&self) -> Result<(), InvalidChain> {
        let chain = || self.name();
        let count = self.alternatives.len();
        if !(1..MAX_HOPS).contains(&count) {
            return Err(InvalidChain::Length {
                chain: chain(),
                count,
            });
        }
        if self.hop_timeout == Some(Duration::ZERO) {
            return Err(InvalidChain::HopTimeout { chain: chain() });
        }
        if let (Some(within), Some(model)) = (self.within, &self.model)
            && !model_stays_within(model, within)
        {
            return Err(InvalidChain::ModelResidency {
                chain: chain(),
                within,
            });
        }
        for (index, alternative) in self.alternatives.iter().enumerate() {
            let position = index + 1;
            if alternative.changes_nothing(self.model.as_ref())
                || self.alternatives[..index].contains(alternative)
            {
                return Err(InvalidChain::Repeated {
                    chain: chain(),
                    position,
                });
            }
            if let Some(within) = self.within
                && !alternative.stays_within(within, self.model.as_ref())
            {
                let alternative = alternative.to_string();
                return Err(InvalidChain::Residency {
                    chain: chain(),
                    position,
                    alternative,
                    within,
                });
            }
        }
        Ok(())
    }
}

/// Chains by the model they are for, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chains {
    by_model: HashMap<ModelId, Arc<Chain>>,
    any_model: Option<Arc<Chain>>,
}

impl Chains {
    pub(crate) fn new(chains: impl IntoIterator<Item = Chain>) -> Result<Self, InvalidChain> {
        let mut checked = Self::default();
        for chain in chains {
            chain.check()?;
            let name = chain.name();
            let replaced = match chain.model.clone() {
                Some(model) => checked.by_model.insert(model, Arc::new(chain)),
                None => checked.any_model.replace(Arc::new(chain)),
            };
            if replaced.is_some() {
                return Err(InvalidChain::Duplicate { chain: name });
            }
        }
        Ok(checked)
    }

    pub(crate) fn of(&self, model: &ModelId) -> Option<&Arc<Chain>> {
        self.by_model.get(model).or(self.any_model.as_ref())
    }
}
