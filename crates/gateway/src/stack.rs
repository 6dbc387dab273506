//! The one place where the layers around Bedrock are put together.

use tokio::time::Duration;
use tower::{
    layer::{layer_fn, util::Stack as Layers},
    util::BoxCloneSyncService,
};
use tower_bedrock::{
    config::{ConfiguredStack, StackConfig},
    metrics::CacheMetrics,
};
use tower_bedrock_core::{HasDemand, HasFault, HasTarget, Headroom, Invocation};
use tower_layer::Layer;

use crate::{
    Operation,
    cached::{self, CacheLayer},
    come_back,
    config::{CacheConfig, Config, InvalidConfig},
    upstream::{RawRequest, RawResponse, Upstream, UpstreamError},
};

/// What calls go through. One type whatever is configured, behind one box: the layers' own types, each of them
/// optional, would take longer to compile than the rest of the gateway.
pub(crate) type Service = BoxCloneSyncService<Invocation<RawRequest>, RawResponse, UpstreamError>;

/// The standard stack as configured, around the upstream, with the cache: whatever fails inside, the time limit of the
/// request too, a kept answer can stand in for. [`StandardStack`](tower_bedrock::StandardStack) has the order of its
/// layers and why it is this one.
#[derive(Debug)]
pub(crate) struct Stack {
    config: StackConfig,
    layers: ConfiguredStack,
    cache_config: Option<CacheConfig>,
    cache: CacheLayer,
    metered: Service,
    free: Service,
}

impl Stack {
    pub(crate) fn new(config: &Config, upstream: &Upstream) -> Result<Self, InvalidConfig> {
        let layers = config.stack.build().map_err(InvalidConfig::of_stack)?;
        let cache = cache(config, &layers)?;
        Self::around(upstream, config, layers, cache)
    }

    /// The stack to go on with, which shares the state of what has not changed.
    pub(crate) fn rebuild(
        &self,
        config: &Config,
        upstream: &Upstream,
    ) -> Result<Self, InvalidConfig> {
        let cache = if config.cache == self.cache_config {
            self.cache.clone()
        } else {
            cache(config, &self.layers)?
        };
        let layers = config.stack.rebuild(&self.config, &self.layers);
        Self::around(
            upstream,
            config,
            layers.map_err(InvalidConfig::of_stack)?,
            cache,
        )
    }

    fn around(
        upstream: &Upstream,
        config: &Config,
        layers: ConfiguredStack,
        cache: CacheLayer,
    ) -> Result<Self, InvalidConfig> {
        let service = |layers: &ConfiguredStack| {
            // A box between them: the cache would be compiled anew for each change of the layers inside.
            let cache = Layers::new(layer_fn(Service::new), cache.clone());
            Service::new(layers.clone().with_cache(cache).layer(upstream.clone()))
        };
        let bare = StackConfig::default();
        let bare = bare.build().map_err(InvalidConfig::of_stack)?;
        // Another model's tokenizer would count wrong, so there is no falling back either.
        let free = layers.clone().with_quota(bare.quota().clone());
        let free = free.with_fallback(bare.fallback().clone());
        Ok(Self {
            metered: service(&layers),
            free: service(&free),
            config: config.stack.clone(),
            layers,
            cache_config: config.cache,
            cache,
        })
    }

    /// What calls of an operation go through. Counting tokens uses no quota, so it waits for none.
    pub(crate) fn service(&self, operation: Operation) -> Service {
        match operation {
            Operation::CountTokens => self.free.clone(),
            _ => self.metered.clone(),
        }
    }

    /// An error of a call that was made so often, with the time to come back where it is a throttle and Bedrock has not
    /// said it.
    pub(crate) fn say_when_to_come_back(
        &self,
        error: UpstreamError,
        call: &Invocation<Operation>,
        attempts: u32,
    ) -> UpstreamError {
        let fault = error.fault();
        if fault.retry_after().is_some() {
            return error;
        }
        let wait = |policy: &dyn Headroom| {
            policy.time_to_serve(call.target(), &call.demand(), call.context())
        };
        let (quota, breaker) = match call.input() {
            Operation::CountTokens => (Duration::ZERO, Duration::ZERO),
            _ => (
                wait(self.layers.quota().limiter()),
                wait(&self.layers.breaker().handle()),
            ),
        };
        let plan = self.layers.retry().policy().plan();
        match come_back::after(fault.kind(), attempts, quota, breaker, plan) {
            Some(after) => error.with_retry_after(after),
            None => error,
        }
    }

    pub(crate) const fn layers(&self) -> &ConfiguredStack {
        &self.layers
    }
}

/// The cache as configured, which reports to the stack's metrics.
fn cache(config: &Config, layers: &ConfiguredStack) -> Result<CacheLayer, InvalidConfig> {
    let metrics = CacheMetrics::from(layers.target_metrics().clone());
    cached::layer(config.cache.as_ref(), metrics).map_err(InvalidConfig::of_cache)
}
