use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use hashbrown::HashMap;
use tokio::time::Duration;
use tower_bedrock_core::{Context, Demand, Target, Tenant};

use crate::{
    Exhausted, InvalidConfig, Limit, LimitTable, LimiterBuilder, Reason, Reservation,
    config::{Config, check_table, check_weights},
    registry::{Meters, Registry},
    start::Start,
    waiting::Waiting,
};

/// A mirror of Bedrock's quotas: what [`QuotaLayer`](crate::QuotaLayer) asks before it sends a call, and
/// the handle to look at it by.
///
/// ```
/// use tower_bedrock_core::{Completion, Context, Demand, Target, TokenUsage};
/// use tower_bedrock_quota::{LimitTable, Limiter, Limits, QuotaPattern};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limits = Limits::new().with_tokens_per_minute(100_000);
/// let limiter = Limiter::builder()
///     .limits(LimitTable::new().with(QuotaPattern::any(), limits))
///     .build()?;
///
/// let target = Target::parse("us-east-1", "anthropic.claude-sonnet-4-20250514-v1:0")?;
/// let demand = Demand::new(1_000).with_max_output_tokens(64_000);
///
/// // Waits until there is room for 1,000 tokens in and at most 64,000 out ...
/// let mut reservation = limiter.reserve(&target, &demand, &Context::new()).await?;
/// reservation.sent();
/// assert_eq!(reservation.tokens(), 65_000);
///
/// // ... and is charged 1,000 + 5 x 100 once it is known that 100 came out.
/// let usage = TokenUsage { input: 1_000, output: 100, ..TokenUsage::default() };
/// reservation.complete(&Completion::complete(Some(usage)));
/// let level = limiter.snapshot(&target).unwrap().tokens_per_minute;
/// assert_eq!(level.used, 1_500);
/// # Ok(())
/// # }
/// ```
///
/// # Clone
///
/// Clones are one limiter: they share all state.
#[derive(Clone, Debug)]
pub struct Limiter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    registry: Registry,
}

impl Limiter {
    /// A limiter with the given limits and defaults for everything else.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where a limit is zero or above [`Limits::MAX`](crate::Limits::MAX).
    pub fn new(limits: LimitTable) -> Result<Self, InvalidConfig> {
        Self::builder().limits(limits).build()
    }

    /// Builds a limiter.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder::new()
    }

    pub(crate) fn with_config(config: Config, table: LimitTable) -> Self {
        Self {
            shared: Arc::new(Shared {
                config: Arc::new(config),
                registry: Registry::new(table),
            }),
        }
    }

    /// Changes the limits, of keys in use too: what is in use stays so, and who waits is looked at anew.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where a limit is zero or above [`Limits::MAX`](crate::Limits::MAX); then nothing
    /// changes.
    pub fn set_limits(&self, limits: LimitTable) -> Result<(), InvalidConfig> {
        check_table(&limits)?;
        let now = self.shared.config.clock.now();
        self.shared.registry.declare(limits, now);
        Ok(())
    }

    /// Changes the weights of tenants: those named here have theirs with their next call, all others have 1. What is in
    /// use stays so, and calls that wait keep their places.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where a weight is not 1 to 1,000; then nothing changes.
    pub fn set_tenant_weights(
        &self,
        weights: impl IntoIterator<Item = (Tenant, u32)>,
    ) -> Result<(), InvalidConfig> {
        let weights: HashMap<_, _> = weights.into_iter().collect();
        check_weights(&weights)?;
        *self.shared.config.weights.write() = weights;
        Ok(())
    }

    /// Reserves what a call may cost, as soon as there is room and others who wait have gone first.
    ///
    /// # Errors
    ///
    /// [`Exhausted`]: at once where the call asks for more than a whole limit, would wait longer than its
    /// deadline or the limiter's `max_wait` allows, or too many wait already; later where the forecast was
    /// wrong and its time has run out.
    ///
    /// # Cancel safety
    ///
    /// Dropped while waiting, it leaves the queue and nothing behind. A call that waits must be polled when
    /// it is woken, as with any fair lock: it may be the one that keeps the timer for all.
    pub async fn reserve(
        &self,
        target: &Target,
        demand: &Demand,
        context: &Context,
    ) -> Result<Reservation, Exhausted> {
        let start = poll_fn(|cx| {
            let meters = self.meters(target);
            let tokens = meters.tokens_of(demand);
            Poll::Ready(meters.start(None, tokens, demand, context, cx.waker()))
        });
        match start.await {
            Start::Reserved(reservation) => Ok(reservation),
            Start::Refused(exhausted) => Err(exhausted),
            Start::Waits(seat) => Waiting::new(seat, *demand).await,
        }
    }

    /// Reserves what a call may cost if there is room now and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] where there is none, with the time to come back.
    pub fn try_reserve(
        &self,
        target: &Target,
        demand: &Demand,
        context: &Context,
    ) -> Result<Reservation, Exhausted> {
        let meters = self.meters(target);
        let tokens = meters.tokens_of(demand);
        match meters.start(Some(Duration::ZERO), tokens, demand, context, Waker::noop()) {
            Start::Reserved(reservation) => Ok(reservation),
            Start::Refused(exhausted) => Err(exhausted),
            // With no time to wait a call is granted or refused at once.
            Start::Waits(_) => {
                let limit = Limit::TokensPerMinute;
                let reason = Reason::WaitTooLong;
                Err(Exhausted::new(
                    limit,
                    tokens,
                    0,
                    reason,
                    Some(Duration::ZERO),
                ))
            }
        }
    }

    pub(crate) fn meters(&self, target: &Target) -> Meters {
        let Shared {
            config, registry, ..
        } = &*self.shared;
        registry.find_or_make(target, config)
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.shared.config
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.shared.registry
    }
}
