//! Handles for what policies report: waits, circuit breakers, quotas, caches.
//!
//! Policies know no metrics, and metrics know no policies. Whoever composes both records the ones' reports with
//! these; the crate `tower-bedrock` does it for its own in its module `metrics`.
//!
//! ```
//! use std::time::Duration;
//! use tower_bedrock_cloudwatch::policy::TargetMetrics;
//! use tower_bedrock_core::Target;
//!
//! let metrics = TargetMetrics::new();
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! metrics.retry_delayed(&target, 1, Duration::from_millis(250));
//! # Ok::<(), tower_bedrock_core::InvalidTarget>(())
//! ```
//!
//! As with the layers: install your recorder first. Handles are registered once a key, and the first 256 keys have
//! labels of their own.

mod cache;

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Label};
use parking_lot::Mutex;
use tower_bedrock_core::Target;

pub use self::cache::CacheEvent;
use self::cache::Cached;
use crate::{
    bounded::{Bounded, OTHER},
    handles::{describe, names_of, register_counter, register_gauge, register_histogram},
    table,
};

/// What policies report of targets.
///
/// # Clone
///
/// Clones share the registered handles.
#[derive(Clone, Debug)]
pub struct TargetMetrics {
    retries: Arc<Bounded<Target, Histogram>>,
    breakers: Arc<Bounded<Target, Breaker>>,
    caches: Arc<Bounded<Target, Cached>>,
}

/// The handles of one circuit breaker.
struct Breaker {
    labels: Vec<Label>,
    state: Gauge,
    generation: AtomicU64,
}

/// What a circuit breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// They pass.
    Closed,
    /// Some of them pass, as probes.
    HalfOpen,
    /// They are turned away.
    Open,
}

impl TargetMetrics {
    /// Describes its metrics to the recorder that is in place.
    #[must_use]
    pub fn new() -> Self {
        describe();
        Self {
            retries: Arc::default(),
            breakers: Arc::default(),
            caches: Arc::default(),
        }
    }

    /// Registers targets with the recorder that is in place, and keeps labels of their own for them, whatever models
    /// clients name first: to be told the targets of the configuration, which alarms watch.
    #[must_use]
    pub fn with_targets(self, targets: impl IntoIterator<Item = Target>) -> Self {
        for target in targets {
            self.retries.reserve(&target, new_delays);
            self.breakers.reserve(&target, Breaker::new);
            self.caches.reserve(&target, Cached::new);
        }
        self
    }

    /// The same for other circuit breakers, whose generations begin anew and all of which are closed: for a program that
    /// puts another breaker into its stack while it runs.
    #[must_use]
    pub fn with_breakers_anew(self) -> Self {
        Self {
            breakers: Arc::default(),
            ..self
        }
    }

    /// Another attempt waits so long after the given one, counted from 1. A wait leaves an event in the span of the call
    /// too.
    pub fn retry_delayed(&self, target: &Target, attempt: u32, delay: Duration) {
        let handle = self.retries.get(target, new_delays);
        handle.record(milliseconds(delay));
        if !delay.is_zero() {
            let attempt = i64::from(attempt);
            tracing::info!(bedrock.target = %target, attempt, ?delay, "waiting to retry");
        }
    }

    /// A circuit breaker entered a state, which it calls `name`. `generation` counts its transitions: reports that
    /// arrive late do not undo later ones.
    pub fn breaker_entered(
        &self,
        target: &Target,
        state: BreakerState,
        name: &'static str,
        generation: u64,
    ) {
        let breaker = self.breakers.get(target, Breaker::new);
        if breaker.generation.fetch_max(generation, Relaxed) <= generation {
            breaker.state.set(match state {
                BreakerState::Closed => 0.0,
                BreakerState::HalfOpen => 1.0,
                BreakerState::Open => 2.0,
            });
        }
        let mut labels = breaker.labels.clone();
        labels.push(Label::from_static_parts(table::STATE, name));
        register_counter(table::CIRCUIT_BREAKER_TRANSITIONS, labels).increment(1);
    }
}

impl Breaker {
    fn new(target: Option<&Target>) -> Self {
        let labels = labels_of(target);
        let state = register_gauge(table::CIRCUIT_BREAKER_STATE, labels.clone());
        // As all begin. A gauge that was never told is not sent everywhere.
        state.set(0.0);
        Self {
            state,
            labels,
            generation: AtomicU64::new(0),
        }
    }
}

fn new_delays(target: Option<&Target>) -> Histogram {
    register_histogram(table::RETRY_DELAY, labels_of(target))
}

impl Default for TargetMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What a quota reports, by its own kind of key.
///
/// # Clone
///
/// Clones share the registered handles.
pub struct QuotaMetrics<K> {
    quotas: Arc<Bounded<K, Quota>>,
    describe: fn(&K) -> QuotaLabels<'_>,
}

/// What a quota is of.
#[derive(Clone, Copy, Debug)]
pub struct QuotaLabels<'a> {
    /// The base model.
    pub model: &'a str,
    /// The Region.
    pub region: &'a str,
    /// The way of calling.
    pub route: &'static str,
}

/// How one limit of a quota stands.
#[derive(Clone, Copy, Debug)]
pub struct LimitLevel {
    /// The limit's name in snake case, `tokens_per_minute` for instance.
    pub limit: &'static str,
    /// What is used of it.
    pub used: u64,
    /// What there is, as it is kept now; zero where nobody knows.
    pub of: u64,
}

/// How a quota stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing<'a> {
    /// Its limits.
    pub levels: &'a [LimitLevel],
    /// Tokens used beyond the tokens a minute.
    pub debt: u64,
    /// Calls that wait.
    pub waiting: u64,
    /// Calls that were let through and have not ended.
    pub calls_in_flight: u64,
    /// What those have reserved.
    pub tokens_reserved: u64,
}

/// The handles of one quota.
struct Quota {
    labels: Vec<Label>,
    wait: Histogram,
    throttles: Counter,
    estimate_error: Histogram,
    debt: Gauge,
    waiting: Gauge,
    calls_in_flight: Gauge,
    tokens_reserved: Gauge,
    /// Of quotas that processes share, once their store was lost.
    store_lost: OnceLock<Gauge>,
    /// By the limits that were known so far, which are a few.
    utilization: Mutex<Vec<(&'static str, Gauge)>>,
}

impl<K: Clone + Eq + Hash> QuotaMetrics<K> {
    /// Describes its metrics to the recorder that is in place. `labels` says what a key is of.
    #[must_use]
    pub fn new(labels: fn(&K) -> QuotaLabels<'_>) -> Self {
        describe();
        Self {
            quotas: Arc::default(),
            describe: labels,
        }
    }

    /// Registers keys with the recorder that is in place, and keeps labels of their own for them, whatever
    /// clients name first.
    #[must_use]
    pub fn with_keys(self, keys: impl IntoIterator<Item = K>) -> Self {
        for key in keys {
            self.quotas.reserve(&key, |key| self.new_of(key));
        }
        self
    }

    /// A call was let through, having waited so long. A wait leaves an event in the span of the call too.
    pub fn admitted(&self, key: &K, waited: Duration) {
        self.quota(key).wait.record(milliseconds(waited));
        if !waited.is_zero() {
            let QuotaLabels {
                model,
                region,
                route,
            } = (self.describe)(key);
            tracing::info!(model, region, route, ?waited, "waited for quota");
        }
    }

    /// A call was turned away.
    pub fn refused(&self, key: &K, reason: &'static str) {
        let mut labels = self.quota(key).labels.clone();
        labels.push(Label::from_static_parts(table::REASON, reason));
        register_counter(table::QUOTA_REFUSALS, labels).increment(1);
    }

    /// A call that was let through was throttled.
    pub fn throttled(&self, key: &K) {
        self.quota(key).throttles.increment(1);
    }

    /// A call that had reserved so many tokens cost so many. One that cost nothing was not served, and says nothing
    /// about estimates.
    pub fn settled(&self, key: &K, reserved: u64, cost: u64) {
        if cost > 0 {
            // Beyond 2^53 tokens the share is not exact.
            #[allow(clippy::cast_precision_loss)]
            let percent = 100.0 * reserved.abs_diff(cost) as f64 / cost as f64;
            self.quota(key).estimate_error.record(percent);
        }
    }

    /// The store through which processes share a quota does not answer any more, or does again.
    pub fn store_lost(&self, key: &K, lost: bool) {
        let quota = self.quota(key);
        if lost {
            let gauge = quota
                .store_lost
                .get_or_init(|| register_gauge(table::QUOTA_STORE_LOST, quota.labels.clone()));
            gauge.set(1.0);
        } else if let Some(gauge) = quota.store_lost.get() {
            gauge.set(0.0);
        }
    }

    /// How a quota stands now.
    ///
    /// A gauge keeps what it was last told. So does that of a limit nobody knows any more: it goes to zero, and so do
    /// all of a quota that is told once more when it is gone, without levels.
    pub fn stands(&self, key: &K, standing: Standing<'_>) {
        let Standing {
            levels,
            debt,
            waiting,
            calls_in_flight,
            tokens_reserved,
        } = standing;
        let quota = self.quota(key);
        #[allow(clippy::cast_precision_loss)]
        let number = |number: u64| number as f64;
        quota.debt.set(number(debt));
        quota.waiting.set(number(waiting));
        quota.calls_in_flight.set(number(calls_in_flight));
        quota.tokens_reserved.set(number(tokens_reserved));
        if let (true, Some(store_lost)) = (levels.is_empty(), quota.store_lost.get()) {
            store_lost.set(0.0);
        }
        let mut utilization = quota.utilization.lock();
        for (limit, gauge) in &*utilization {
            let known = |level: &LimitLevel| level.limit == *limit && level.of > 0;
            if !levels.iter().any(known) {
                gauge.set(0.0);
            }
        }
        for level in levels.iter().filter(|level| level.of > 0) {
            let percent = 100.0 * number(level.used) / number(level.of);
            let place = utilization
                .iter()
                .position(|(limit, _)| *limit == level.limit);
            let place = place.unwrap_or_else(|| {
                let mut labels = quota.labels.clone();
                labels.push(Label::from_static_parts(table::LIMIT, level.limit));
                let gauge = register_gauge(table::QUOTA_UTILIZATION, labels);
                utilization.push((level.limit, gauge));
                utilization.len() - 1
            });
            utilization[place].1.set(percent);
        }
    }

    fn quota(&self, key: &K) -> &Arc<Quota> {
        self.quotas.get(key, |key| self.new_of(key))
    }

    fn new_of(&self, key: Option<&K>) -> Quota {
        let QuotaLabels {
            model,
            region,
            route,
        } = key.map_or(
            QuotaLabels {
                model: OTHER,
                region: OTHER,
                route: OTHER,
            },
            self.describe,
        );
        let labels = vec![
            Label::new(table::MODEL_ID, model.to_owned()),
            Label::new(table::REGION, region.to_owned()),
            Label::from_static_parts(table::ROUTE, route),
        ];
        Quota {
            wait: register_histogram(table::QUOTA_WAIT, labels.clone()),
            throttles: register_counter(table::QUOTA_THROTTLES, labels.clone()),
            estimate_error: register_histogram(table::QUOTA_ESTIMATE_ERROR, labels.clone()),
            debt: register_gauge(table::QUOTA_DEBT, labels.clone()),
            waiting: register_gauge(table::QUOTA_WAITING, labels.clone()),
            calls_in_flight: register_gauge(table::QUOTA_CALLS_IN_FLIGHT, labels.clone()),
            tokens_reserved: register_gauge(table::QUOTA_TOKENS_RESERVED, labels.clone()),
            store_lost: OnceLock::new(),
            utilization: Mutex::default(),
            labels,
        }
    }
}

fn labels_of(target: Option<&Target>) -> Vec<Label> {
    let (region, model) = names_of(target);
    vec![
        Label::new(table::MODEL_ID, model.to_owned()),
        Label::new(table::REGION, region.to_owned()),
    ]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl<K> Clone for QuotaMetrics<K> {
    fn clone(&self) -> Self {
        Self {
            quotas: Arc::clone(&self.quotas),
            describe: self.describe,
        }
    }
}

impl<K> fmt::Debug for QuotaMetrics<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}
