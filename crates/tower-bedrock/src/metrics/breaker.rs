use tower_bedrock_breaker::{Event, EventKind, Observer, State};
use tower_bedrock_cloudwatch::policy::{BreakerState, TargetMetrics};
use tower_bedrock_core::Target;

/// Records the states of circuit breakers. An observer for a circuit-breaking layer whose keys are targets, as they are
/// by default.
///
/// # Clone
///
/// Clones share the registered handles.
#[derive(Clone, Debug, Default)]
pub struct BreakerMetrics {
    metrics: TargetMetrics,
}

impl BreakerMetrics {
    /// Describes its metrics to the recorder that is in place.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Records with handles that others may record with as well, and that targets may have been
/// [named](TargetMetrics::with_targets) to.
impl From<TargetMetrics> for BreakerMetrics {
    fn from(metrics: TargetMetrics) -> Self {
        Self { metrics }
    }
}

impl Observer<Target> for BreakerMetrics {
    fn on_event(&self, event: &Event<Target>) {
        let EventKind::Transition { to, .. } = event.kind else {
            return;
        };
        let state = match to {
            State::Open | State::ForcedOpen => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        };
        self.metrics
            .breaker_entered(&event.key, state, to.as_str(), event.generation);
    }
}
