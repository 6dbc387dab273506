use std::time::Duration;

use tower_bedrock_cloudwatch::policy::TargetMetrics;
use tower_bedrock_retry::{Failure, Observer};

/// Records how long attempts beyond the first wait, and tells it by an event in the call's span. An observer for a retry layer.
///
/// # Clone
///
/// Clones share the registered handles.
#[derive(Clone, Debug, Default)]
pub struct RetryMetrics {
    metrics: TargetMetrics,
}

impl RetryMetrics {
    /// Describes its metrics to the recorder that is in place.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Records with handles that others may record with as well, and that targets may have been
/// [named](TargetMetrics::with_targets) to.
impl From<TargetMetrics> for RetryMetrics {
    fn from(metrics: TargetMetrics) -> Self {
        Self { metrics }
    }
}

impl Observer for RetryMetrics {
    fn will_retry(&self, failure: &Failure<'_>, delay: Duration) {
        let Failure {
            target, attempt, ..
        } = *failure;
        self.metrics.retry_delayed(target, attempt, delay);
    }
}
