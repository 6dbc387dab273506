use std::{fmt, sync::Arc};

use metrics::{Counter, Gauge, Histogram, Label, with_recorder};
use tower_bedrock_core::{FaultKind, GaveUp, Target};

use crate::{
    bounded::{Bounded, OTHER},
    recording::metric_of,
    table::{self, Kind, Metric},
};

/// The handles of one target. They are registered once, so that recording neither looks up nor allocates.
pub(crate) struct Handles {
    pub(crate) scope: Scope,
    /// `None` of those that all targets share which find no place.
    pub(crate) target: Option<Target>,
    labels: Vec<Label>,
    pub(crate) invocations: Counter,
    pub(crate) invocation_latency: Histogram,
    pub(crate) time_to_first_token: Histogram,
    pub(crate) input_token_count: Counter,
    pub(crate) output_token_count: Counter,
    pub(crate) cache_read_input_token_count: Counter,
    pub(crate) cache_write_input_token_count: Counter,
    pub(crate) cancelled_invocations: Counter,
    pub(crate) requests: Counter,
    pub(crate) request_latency: Histogram,
    pub(crate) retries: Counter,
    pub(crate) fallback_model_invocations: Counter,
    pub(crate) degraded_answers: Counter,
    pub(crate) cancelled_requests: Counter,
}

/// Which half of the table is emitted. Registering the other would report metrics that stay zero for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Request,
    Attempt,
}

impl Handles {
    fn new(target: Option<&Target>, scope: Scope) -> Self {
        let (region, model) = names_of(target);
        let labels = vec![
            Label::new(table::MODEL_ID, model.to_owned()),
            Label::new(table::REGION, region.to_owned()),
        ];
        let counter = |wanted, metric| {
            if scope == wanted {
                register_counter(metric, labels.clone())
            } else {
                Counter::noop()
            }
        };
        let histogram = |wanted, metric| {
            if scope == wanted {
                register_histogram(metric, labels.clone())
            } else {
                Histogram::noop()
            }
        };
        Self {
            invocations: counter(Scope::Attempt, table::INVOCATIONS),
            invocation_latency: histogram(Scope::Attempt, table::INVOCATION_LATENCY),
            time_to_first_token: histogram(Scope::Attempt, table::TIME_TO_FIRST_TOKEN),
            input_token_count: counter(Scope::Attempt, table::INPUT_TOKEN_COUNT),
            output_token_count: counter(Scope::Attempt, table::OUTPUT_TOKEN_COUNT),
            cache_read_input_token_count: counter(
                Scope::Attempt,
                table::CACHE_READ_INPUT_TOKEN_COUNT,
            ),
            cache_write_input_token_count: counter(
                Scope::Attempt,
                table::CACHE_WRITE_INPUT_TOKEN_COUNT,
            ),
            cancelled_invocations: counter(Scope::Attempt, table::CANCELLED_INVOCATIONS),
            requests: counter(Scope::Request, table::REQUESTS),
            request_latency: histogram(Scope::Request, table::REQUEST_LATENCY),
            retries: counter(Scope::Request, table::RETRIES),
            fallback_model_invocations: counter(Scope::Request, table::FALLBACK_MODEL_INVOCATIONS),
            degraded_answers: counter(Scope::Request, table::DEGRADED_ANSWERS),
            cancelled_requests: counter(Scope::Request, table::CANCELLED_REQUESTS),
            scope,
            target: target.cloned(),
            labels,
        }
    }

    /// Registers the counters of faults, which then stand at zero.
    fn register_faults(&self) {
        for kind in FaultKind::ALL {
            let metric = match self.scope {
                Scope::Request => table::REQUEST_ERRORS,
                // Bedrock never sees those.
                Scope::Attempt if kind.is_local() => continue,
                Scope::Attempt => metric_of(kind),
            };
            drop(self.labelled(metric, table::FAULT, kind.as_str()));
        }
    }

    /// Errors are rare and have many kinds: their counters are looked up when one occurs.
    pub(crate) fn fault(&self, metric: Metric, kind: FaultKind) {
        self.with_label(metric, table::FAULT, kind.as_str());
    }

    pub(crate) fn gave_up(&self, cause: GaveUp) {
        self.with_label(table::GIVE_UPS, table::CAUSE, cause.as_str());
    }

    fn with_label(&self, metric: Metric, label: &'static str, value: &'static str) {
        self.labelled(metric, label, value).increment(1);
    }

    fn labelled(&self, metric: Metric, label: &'static str, value: &'static str) -> Counter {
        let mut labels = self.labels.clone();
        labels.push(Label::from_static_parts(label, value));
        register_counter(metric, labels)
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// Handles by target.
#[derive(Debug)]
pub(crate) struct HandleCache {
    scope: Scope,
    by_target: Bounded<Target, Handles>,
}

impl HandleCache {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            by_target: Bounded::default(),
        }
    }

    /// Gives a target its place now.
    pub(crate) fn reserve(&self, target: &Target) {
        let scope = self.scope;
        let handles = self
            .by_target
            .reserve(target, |target| Handles::new(target, scope));
        handles.register_faults();
    }

    pub(crate) fn get(&self, target: &Target) -> &Arc<Handles> {
        let scope = self.scope;
        self.by_target
            .get(target, |target| Handles::new(target, scope))
    }
}

/// The Region and the model of a target, or what stands for those that find no place.
pub(crate) fn names_of(target: Option<&Target>) -> (&str, &str) {
    target.map_or((OTHER, OTHER), |target| {
        (target.region().as_str(), target.model().as_str())
    })
}

pub(crate) fn register_counter(metric: Metric, labels: Vec<Label>) -> Counter {
    debug_assert_eq!(metric.kind, Kind::Counter);
    let key = metrics::Key::from_parts(metric.name, labels);
    with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
}

pub(crate) fn register_histogram(metric: Metric, labels: Vec<Label>) -> Histogram {
    debug_assert_eq!(metric.kind, Kind::Histogram);
    let key = metrics::Key::from_parts(metric.name, labels);
    with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
}

pub(crate) fn register_gauge(metric: Metric, labels: Vec<Label>) -> Gauge {
    debug_assert_eq!(metric.kind, Kind::Gauge);
    let key = metrics::Key::from_parts(metric.name, labels);
    with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
}

/// Tells the recorder that is in place the unit and the meaning of every metric. Layers do it when they are made.
pub(crate) fn describe() {
    with_recorder(|recorder| {
        for metric in table::METRICS {
            let (name, unit, description) = (
                metric.name.into(),
                Some(metric.unit),
                metric.description.into(),
            );
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, unit, description),
                Kind::Gauge => recorder.describe_gauge(name, unit, description),
                Kind::Histogram => recorder.describe_histogram(name, unit, description),
            }
        }
    });
}

static METADATA: metrics::Metadata<'static> =
    metrics::Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));
