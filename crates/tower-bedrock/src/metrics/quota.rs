use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use tokio::time::{Duration, MissedTickBehavior, interval};
use tower_bedrock_cloudwatch::policy::{
    LimitLevel, QuotaLabels, QuotaMetrics as Handles, Standing,
};
use tower_bedrock_core::Target;
use tower_bedrock_quota::{
    Exhausted, Level, Limit, Limiter, Observe, QuotaKey, QuotaRoute, Reason,
};

/// Records what a limiter does, and how full its quotas are. An observer for a limiter.
///
/// # Clone
///
/// Clones share the registered handles.
#[derive(Clone, Debug)]
pub struct QuotaMetrics {
    handles: Handles<QuotaKey>,
    /// The quotas that were there at the last look.
    seen: Arc<Mutex<HashSet<QuotaKey>>>,
}

impl QuotaMetrics {
    /// Describes its metrics to the recorder that is in place.
    #[must_use]
    pub fn new() -> Self {
        Self {
            handles: Handles::new(labels),
            seen: Arc::default(),
        }
    }

    /// Keeps labels of their own for the quotas of targets, whatever models clients name first: to be told the
    /// targets of the configuration, which alarms watch.
    #[must_use]
    pub fn with_targets<'a>(self, targets: impl IntoIterator<Item = &'a Target>) -> Self {
        let keys = targets.into_iter().map(QuotaKey::of);
        Self {
            handles: self.handles.with_keys(keys),
            ..self
        }
    }

    /// Records how full every quota of a limiter is, how much debt it has, how many calls wait, and how many are in
    /// flight with what they have reserved. The gauges of one that was there at the last look, and is not any more, go
    /// to zero.
    ///
    /// To be given one limiter, or the one that has taken its place.
    pub fn look(&self, limiter: &Limiter) {
        let snapshots = limiter.snapshots();
        let keys = snapshots.iter().map(|snapshot| snapshot.key.clone());
        let keys: HashSet<_> = keys.collect();
        let mut seen = self.seen.lock();
        for gone in seen.difference(&keys) {
            self.handles.stands(gone, Standing::default());
        }
        *seen = keys;
        for snapshot in snapshots {
            let levels = [
                level(Limit::RequestsPerMinute, snapshot.requests_per_minute),
                level(Limit::TokensPerMinute, snapshot.tokens_per_minute),
                level(Limit::TokensPerDay, snapshot.tokens_per_day),
            ];
            let standing = Standing {
                levels: &levels,
                debt: snapshot.tokens_per_minute.debt,
                waiting: snapshot.waiting.iter().sum(),
                calls_in_flight: snapshot.calls_in_flight,
                tokens_reserved: snapshot.tokens_in_flight,
            };
            self.handles.stands(&snapshot.key, standing);
        }
    }

    /// Does so at every `period`, for ever: to be spawned, and aborted when it is no longer wanted. Less often than the
    /// recorder is read leaves it with old levels.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it stops.
    pub async fn look_every(self, period: Duration, limiter: Limiter) {
        // An interval of zero panics.
        let mut ticks = interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look(&limiter);
        }
    }
}

impl Default for QuotaMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Observe for QuotaMetrics {
    fn admitted(&self, key: &QuotaKey, waited: Duration) {
        self.handles.admitted(key, waited);
    }

    fn refused(&self, key: &QuotaKey, exhausted: &Exhausted, _: Duration) {
        self.handles.refused(key, reason(exhausted.reason));
    }

    fn settled(&self, key: &QuotaKey, reserved: u64, cost: Option<u64>) {
        if let Some(cost) = cost {
            self.handles.settled(key, reserved, cost);
        }
    }

    fn throttled(&self, key: &QuotaKey) {
        self.handles.throttled(key);
    }

    fn store_lost(&self, key: &QuotaKey) {
        self.handles.store_lost(key, true);
    }

    fn store_found(&self, key: &QuotaKey) {
        self.handles.store_lost(key, false);
    }

    fn store_back(&self, key: &QuotaKey, _: Duration) {
        self.handles.store_lost(key, false);
    }
}

/// A limit that nobody knows has nothing to be a share of.
fn level(limit: Limit, level: Level) -> LimitLevel {
    LimitLevel {
        limit: limit.as_str(),
        used: level.used,
        of: level.effective.unwrap_or(0),
    }
}

fn labels(key: &QuotaKey) -> QuotaLabels<'_> {
    QuotaLabels {
        model: key.model(),
        region: key.region().as_str(),
        route: match (key.route(), key.is_reserved_tier()) {
            (QuotaRoute::OnDemand, false) => "on-demand",
            (QuotaRoute::CrossRegion, false) => "cross-region",
            (QuotaRoute::Global, false) => "global",
            (QuotaRoute::Dedicated, false) => "dedicated",
            (QuotaRoute::OnDemand, true) => "on-demand@reserved",
            (QuotaRoute::CrossRegion, true) => "cross-region@reserved",
            (QuotaRoute::Global, true) => "global@reserved",
            (QuotaRoute::Dedicated, true) => "dedicated@reserved",
            (_, false) => "undetermined",
            (_, true) => "undetermined@reserved",
        },
    }
}

const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::TooLarge => "too_large",
        Reason::WaitTooLong => "wait_too_long",
        Reason::NoTimeLeft => "no_time_left",
        Reason::TooManyWaiting => "too_many_waiting",
        Reason::TooManyKeys => "too_many_keys",
        _ => "other",
    }
}
