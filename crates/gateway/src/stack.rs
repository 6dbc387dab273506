//! The one place where the layers around Bedrock are put together.

use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_bedrock_core::Invocation;
use tower_service::Service;

use crate::{
    attempt::AttemptLayer,
    upstream::{RawRequest, RawResponse, UpstreamError},
};

/// What calls go through.
pub type Stack = BoxCloneSyncService<Invocation<RawRequest>, RawResponse, UpstreamError>;

/// Puts the layers around a leaf. Read from the top: the order in which a call meets them.
pub fn stack<L>(leaf: L) -> Stack
where
    L: Service<Invocation<RawRequest>, Response = RawResponse, Error = UpstreamError>,
    L: Clone + Send + Sync + 'static,
    L::Future: Send + 'static,
{
    let service = ServiceBuilder::new()
        // Each attempt has a span of its own, and an event when it fails.
        .layer(AttemptLayer::new())
        .service(leaf);
    BoxCloneSyncService::new(service)
}
