use std::{borrow::Cow, hash::Hash};

use tower_bedrock_core::{Context, Target};

/// Chooses which calls share a breaker.
///
/// A function is one:
///
/// ```
/// use tower_bedrock_breaker::CircuitBreakerLayer;
/// use tower_bedrock_core::{Context, Region, Target};
///
/// // One breaker for each Region, whatever the model.
/// let per_region = |target: &Target, _: &Context| -> Region { target.region().clone() };
/// let layer = CircuitBreakerLayer::builder_by(per_region).build()?;
/// # Ok::<(), tower_bedrock_breaker::InvalidConfig>(())
/// ```
///
/// The key is made from what a call is about to do and not from its input, so that the same question can
/// be put without a call, by [`Headroom`](tower_bedrock_core::Headroom).
pub trait KeyFn {
    /// The key. Cloned once for each breaker that is made and for each event, not for each call.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;

    /// The key of a call: borrowed where it can be, since every call asks.
    fn key<'a>(&self, target: &'a Target, context: &'a Context) -> Cow<'a, Self::Key>;
}

/// One breaker for each [`Target`]: the default.
///
/// Region, model id and service tier each make a target of their own, because each fails on its own: a
/// Region's outage leaves the others serving, and a geographic profile of a model serves where its
/// on-demand id does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerTarget;

impl KeyFn for PerTarget {
    type Key = Target;

    fn key<'a>(&self, target: &'a Target, _: &'a Context) -> Cow<'a, Target> {
        Cow::Borrowed(target)
    }
}

impl<F, Q> KeyFn for F
where
    F: Fn(&Target, &Context) -> Q,
    Q: Clone + Eq + Hash + Send + Sync + 'static,
{
    type Key = Q;

    fn key<'a>(&self, target: &'a Target, context: &'a Context) -> Cow<'a, Q> {
        Cow::Owned(self(target, context))
    }
}
