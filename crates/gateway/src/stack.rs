//! The one place where the layers around Bedrock are put together.

use tower::util::BoxCloneSyncService;
use tower_bedrock::config::{ConfiguredStack, InvalidSection, StackConfig};
use tower_bedrock_core::Invocation;
use tower_layer::Layer;

use crate::{
    Operation,
    upstream::{RawRequest, RawResponse, Upstream, UpstreamError},
};

/// What calls go through. One type whatever is configured, behind one box: the layers' own types, each of them
/// optional, would take longer to compile than the rest of the gateway.
pub(crate) type Service = BoxCloneSyncService<Invocation<RawRequest>, RawResponse, UpstreamError>;

/// The standard stack as configured, around the upstream. [`StandardStack`](tower_bedrock::StandardStack) has the
/// order of its layers and why it is this one.
#[derive(Debug)]
pub(crate) struct Stack {
    config: StackConfig,
    layers: ConfiguredStack,
    metered: Service,
    free: Service,
}

impl Stack {
    pub(crate) fn new(config: &StackConfig, upstream: &Upstream) -> Result<Self, InvalidSection> {
        Self::around(upstream, config.clone(), config.build()?)
    }

    /// The stack to go on with, which shares the state of what has not changed.
    pub(crate) fn rebuild(
        &self,
        config: &StackConfig,
        upstream: &Upstream,
    ) -> Result<Self, InvalidSection> {
        let layers = config.rebuild(&self.config, &self.layers)?;
        Self::around(upstream, config.clone(), layers)
    }

    fn around(
        upstream: &Upstream,
        config: StackConfig,
        layers: ConfiguredStack,
    ) -> Result<Self, InvalidSection> {
        let service = |layers: &ConfiguredStack| Service::new(layers.layer(upstream.clone()));
        let no_quota = StackConfig::default().build()?.quota().clone();
        Ok(Self {
            metered: service(&layers),
            free: service(&layers.clone().with_quota(no_quota)),
            config,
            layers,
        })
    }

    /// What calls of an operation go through. Counting tokens uses no quota, so it waits for none.
    pub(crate) fn service(&self, operation: Operation) -> Service {
        match operation {
            Operation::CountTokens => self.free.clone(),
            _ => self.metered.clone(),
        }
    }

    pub(crate) const fn layers(&self) -> &ConfiguredStack {
        &self.layers
    }
}
