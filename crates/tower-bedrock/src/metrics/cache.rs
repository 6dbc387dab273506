use tokio::time::Duration;
use tower_bedrock_cache::Observer;
use tower_bedrock_cloudwatch::policy::{CacheEvent, TargetMetrics};
use tower_bedrock_core::Target;

/// Records what a cache answers without asking, and what it has to ask for. An observer for a cache layer.
///
/// A kept answer that stands in for an error is a degraded one, which whatever measures requests around the cache
/// counts: so put the cache inside of it, as `StandardStack::with_cache` does.
///
/// # Clone
///
/// Clones share the registered handles.
#[derive(Clone, Debug, Default)]
pub struct CacheMetrics {
    metrics: TargetMetrics,
}

impl CacheMetrics {
    /// Describes its metrics to the recorder that is in place.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Records with handles that others may record with as well, and that targets may have been
/// [named](TargetMetrics::with_targets) to.
impl From<TargetMetrics> for CacheMetrics {
    fn from(metrics: TargetMetrics) -> Self {
        Self { metrics }
    }
}

impl Observer for CacheMetrics {
    fn hit(&self, target: &Target, _: Duration) {
        self.metrics.cached(target, CacheEvent::Hit);
    }

    fn shared(&self, target: &Target) {
        self.metrics.cached(target, CacheEvent::Shared);
    }

    fn missed(&self, target: &Target) {
        self.metrics.cached(target, CacheEvent::Missed);
    }
}
