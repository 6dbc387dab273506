use tokio::time::Duration;
use tower_bedrock_core::{Fault, Target};

/// Told what a cache does with calls, for metrics and logs.
///
/// A call that has a key is told once by [`hit`](Self::hit), [`shared`](Self::shared) or [`missed`](Self::missed);
/// by none of them where its caller goes away while it waits for another's answer. One that was missed and fails may
/// be told by [`stood_in`](Self::stood_in) as well. Nothing is told of a call that is not to be kept.
///
/// ```
/// use std::{
///     sync::{Arc, atomic::{AtomicU64, Ordering}},
///     time::Duration,
/// };
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use tower_bedrock_cache::{CacheLayer, Key, Observer};
/// use tower_bedrock_core::{Answer, BoxError, Invocation, Target};
///
/// #[derive(Clone, Default)]
/// struct Hits(Arc<AtomicU64>);
///
/// impl Observer for Hits {
///     fn hit(&self, _: &Target, _age: Duration) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// type Call = Invocation<&'static str>;
/// let hits = Hits::default();
/// let cache = CacheLayer::builder(
///     |call: &Call| Some(Key::of(call, "Converse", call.input().as_bytes())),
///     String::len,
/// )
/// .fresh_for(Duration::from_secs(60))
/// .observer(hits.clone())
/// .build()?;
///
/// let mut bedrock = ServiceBuilder::new().layer(cache).service_fn(|_: Call| async {
///     Ok::<_, BoxError>(Answer::new("Hello.".to_owned()))
/// });
/// let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
/// for _ in 0..3 {
///     let call = Invocation::new(target.clone(), "Say hello.");
///     bedrock.ready().await?.call(call).await?;
/// }
/// assert_eq!(hits.0.load(Ordering::Relaxed), 2);
/// # Ok(())
/// # }
/// ```
///
/// Called in the task of the call, with no lock held. It must be quick and must not panic. `()` is told everything
/// and does nothing.
pub trait Observer: Send + Sync + 'static {
    /// A kept answer of this age was fresh enough to be served instead of asking.
    fn hit(&self, target: &Target, age: Duration) {
        let _ = (target, age);
    }

    /// The answer of an identical call that was under way was served.
    fn shared(&self, target: &Target) {
        let _ = target;
    }

    /// The service has to be asked.
    fn missed(&self, target: &Target) {
        let _ = target;
    }

    /// A kept answer of this age was served in place of `fault`; `None` where a [`Responder`](crate::Responder)
    /// served it, which is not told what has failed.
    fn stood_in(&self, target: &Target, age: Duration, fault: Option<Fault>) {
        let _ = (target, age, fault);
    }
}

/// Looks away.
impl Observer for () {}
