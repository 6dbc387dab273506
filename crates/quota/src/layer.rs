use tower_layer::Layer;

use crate::{InvalidConfig, LimitTable, Limiter, Quota};

/// Makes calls wait their turn instead of being throttled: wraps services in [`Quota`].
///
/// # Clone
///
/// Clones, and the services they make, share one [`Limiter`] and so all quotas.
#[derive(Clone, Debug)]
pub struct QuotaLayer<C = ()> {
    limiter: Limiter,
    count: C,
}

impl QuotaLayer {
    /// A layer around a limiter, which stays yours to look at.
    pub const fn new(limiter: Limiter) -> Self {
        Self { limiter, count: () }
    }

    /// A layer around a limiter of its own, with the given limits and defaults for everything else.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where a limit is zero or above [`Limits::MAX`](crate::Limits::MAX).
    pub fn with_limits(limits: LimitTable) -> Result<Self, InvalidConfig> {
        Limiter::new(limits).map(Self::new)
    }
}

impl<C> QuotaLayer<C> {
    /// Counts the input tokens of some requests exactly, where `count` says so; see
    /// [`CountTokens`](crate::CountTokens).
    pub fn with_count<D>(self, count: D) -> QuotaLayer<D> {
        QuotaLayer {
            limiter: self.limiter,
            count,
        }
    }

    /// The limiter.
    pub const fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}

impl<S, C: Clone> Layer<S> for QuotaLayer<C> {
    type Service = Quota<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Quota::new(inner, self.limiter.clone(), self.count.clone())
    }
}
