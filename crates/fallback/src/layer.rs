use std::{fmt, sync::Arc};

use tokio::time::Duration;
use tower_bedrock_core::{Fault, Headroom};
use tower_layer::Layer;

use crate::{
    Fallback,
    chain::{Chain, Chains, InvalidChain},
    predicate::falls_through,
    responder::Degraded,
};

/// Lets a call that one target cannot serve fall to the next of a [`Chain`].
///
/// See the [crate's documentation](crate) for an example.
///
/// # Clone
///
/// Clones share the chains; there is no other state.
#[derive(Clone)]
pub struct FallbackLayer<W = (), R = ()> {
    pub(crate) chains: Arc<Chains>,
    // Both are asked off the hot path or once a call, so a dynamic call costs less than another type
    // parameter would.
    pub(crate) falls_through: Arc<dyn Fn(&Fault) -> bool + Send + Sync>,
    pub(crate) headroom: Option<Arc<dyn Headroom + Send + Sync>>,
    pub(crate) latency_budget: Duration,
    pub(crate) rewrite: W,
    pub(crate) responder: R,
}

impl FallbackLayer {
    /// A layer with these chains. Calls to a model without one pass through.
    ///
    /// # Errors
    ///
    /// [`InvalidChain`] names the first chain that cannot be right, and why.
    pub fn new(chains: impl IntoIterator<Item = Chain>) -> Result<Self, InvalidChain> {
        Ok(Self {
            chains: Arc::new(Chains::new(chains)?),
            falls_through: Arc::new(falls_through),
            headroom: None,
            latency_budget: Duration::ZERO,
            rewrite: (),
            responder: (),
        })
    }
}

impl<W, R> FallbackLayer<W, R> {
    /// Decides which faults lead to the next hop, in place of [`falls_through`].
    #[must_use]
    pub fn fall_through_if(
        mut self,
        predicate: impl Fn(&Fault) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.falls_through = Arc::new(predicate);
        self
    }

    /// Falls before failing: a hop that `headroom` forecasts to wait longer than `latency_budget` is left out
    /// in its turn. When no other hop has served the call, those left out are tried after all, the shortest
    /// forecast first, as long as it is within the deadline.
    ///
    /// Not asked by default.
    #[must_use]
    pub fn skip_without_headroom(
        mut self,
        headroom: impl Headroom + Send + Sync + 'static,
        latency_budget: Duration,
    ) -> Self {
        self.headroom = Some(Arc::new(headroom));
        self.latency_budget = latency_budget;
        self
    }

    /// Makes requests fit for the alternative they are sent to; see [`Rewrite`](crate::Rewrite).
    #[must_use]
    pub fn rewrite_with<V>(self, rewrite: V) -> FallbackLayer<V, R> {
        FallbackLayer {
            chains: self.chains,
            falls_through: self.falls_through,
            headroom: self.headroom,
            latency_budget: self.latency_budget,
            rewrite,
            responder: self.responder,
        }
    }

    /// Asks `service` for an answer when no hop served the call, for models with and without a chain. What it
    /// answers is marked as [`degraded`](tower_bedrock_core::History::degraded).
    ///
    /// Calls share the service and clone it, so a call can be sent between threads only where the service is
    /// `Send + Sync`: box it with `BoxCloneSyncService`, not with `BoxCloneService`.
    #[must_use]
    pub fn or_degraded<S>(self, service: S) -> FallbackLayer<W, Degraded<S>> {
        FallbackLayer {
            chains: self.chains,
            falls_through: self.falls_through,
            headroom: self.headroom,
            latency_budget: self.latency_budget,
            rewrite: self.rewrite,
            responder: Degraded::new(service),
        }
    }
}

impl<S, W: Clone, R: Clone> Layer<S> for FallbackLayer<W, R> {
    type Service = Fallback<S, W, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback {
            inner,
            layer: Arc::new(self.clone()),
        }
    }
}

impl<W, R> fmt::Debug for FallbackLayer<W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("chains", &self.chains)
            .field("latency_budget", &self.latency_budget)
            .field("asks_headroom", &self.headroom.is_some())
            .finish_non_exhaustive()
    }
}
