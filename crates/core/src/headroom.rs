use std::sync::Arc;

use tokio::time::Duration;

use crate::{Context, Demand, Target};

/// How long until a demand could be served on a target?
///
/// Answered by policies that know (a quota, a circuit breaker), asked by those that choose (fallback, a
/// queue) and by people. It is a forecast: nothing is reserved by asking.
///
/// ```
/// use std::time::Duration;
/// use tower_bedrock_core::{Context, Demand, Headroom, Target};
///
/// /// Closed on Sundays.
/// struct Shop { sunday: bool }
///
/// impl Headroom for Shop {
///     fn time_to_serve(&self, _: &Target, _: &Demand, _: &Context) -> Duration {
///         if self.sunday { Duration::MAX } else { Duration::ZERO }
///     }
/// }
///
/// let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
/// // Several sources answer together: the slowest decides.
/// let both = ((), Shop { sunday: true });
/// assert_eq!(both.time_to_serve(&target, &Demand::new(10), &Context::new()), Duration::MAX);
/// # Ok::<(), tower_bedrock_core::InvalidTarget>(())
/// ```
pub trait Headroom {
    /// How long such a call would wait on `target` before it is sent: [`Duration::ZERO`] where it would
    /// not wait, [`Duration::MAX`] where no wait would help.
    fn time_to_serve(&self, target: &Target, demand: &Demand, context: &Context) -> Duration;

    /// The same for a call that leaves a share of every limit to others, 0.0 to 1.0: it would wait until there is room
    /// for itself and that. Default: [`time_to_serve`](Self::time_to_serve), for what has no limits.
    fn time_to_serve_leaving(
        &self,
        share: f64,
        target: &Target,
        demand: &Demand,
        context: &Context,
    ) -> Duration {
        let _ = share;
        self.time_to_serve(target, demand, context)
    }
}

/// Knows of nothing that would make a call wait.
impl Headroom for () {
    fn time_to_serve(&self, _: &Target, _: &Demand, _: &Context) -> Duration {
        Duration::ZERO
    }
}

impl<H: Headroom + ?Sized> Headroom for Arc<H> {
    fn time_to_serve(&self, target: &Target, demand: &Demand, context: &Context) -> Duration {
        (**self).time_to_serve(target, demand, context)
    }

    fn time_to_serve_leaving(
        &self,
        share: f64,
        target: &Target,
        demand: &Demand,
        context: &Context,
    ) -> Duration {
        (**self).time_to_serve_leaving(share, target, demand, context)
    }
}

/// The slower of the two decides.
impl<A: Headroom, B: Headroom> Headroom for (A, B) {
    fn time_to_serve(&self, target: &Target, demand: &Demand, context: &Context) -> Duration {
        let first = self.0.time_to_serve(target, demand, context);
        first.max(self.1.time_to_serve(target, demand, context))
    }

    fn time_to_serve_leaving(
        &self,
        share: f64,
        target: &Target,
        demand: &Demand,
        context: &Context,
    ) -> Duration {
        let first = self.0.time_to_serve_leaving(share, target, demand, context);
        let second = self.1.time_to_serve_leaving(share, target, demand, context);
        first.max(second)
    }
}

/// `None` knows of nothing that would make a call wait.
impl<H: Headroom> Headroom for Option<H> {
    fn time_to_serve(&self, target: &Target, demand: &Demand, context: &Context) -> Duration {
        self.as_ref().map_or(Duration::ZERO, |headroom| {
            headroom.time_to_serve(target, demand, context)
        })
    }

    fn time_to_serve_leaving(
        &self,
        share: f64,
        target: &Target,
        demand: &Demand,
        context: &Context,
    ) -> Duration {
        self.as_ref().map_or(Duration::ZERO, |headroom| {
            headroom.time_to_serve_leaving(share, target, demand, context)
        })
    }
}
