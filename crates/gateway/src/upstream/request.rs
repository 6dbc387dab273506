use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    uri::{InvalidUri, PathAndQuery},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_bedrock_core::{HasDemand, HasTarget, Invocation, ModelId, Target};

use super::rewrite;
use crate::Operation;

/// A request of Bedrock's runtime as a client sent it: bytes, not meaning. Cheap to clone.
///
/// It goes out exactly as it came in, unless its [`Invocation`] says otherwise: a policy that re-targets
/// the call or bounds its output changes the envelope, and the leaf applies that to path and body.
///
/// `Debug` shows sizes, not text.
///
/// # Clone
///
/// Clones are of one call: how often it is sent is counted together. Make a new one for another call.
#[derive(Clone)]
pub struct RawRequest {
    received: Arc<Received>,
    body: Bytes,
    max_output_tokens: Option<u64>,
    cacheable: bool,
}

struct Received {
    operation: Operation,
    model: ModelId,
    path: PathAndQuery,
    headers: HeaderMap,
    attempts: Attempts,
}

/// How often a call has been sent to Bedrock so far. Counted where it is sent, so that it is known also of a call
/// that no policy tells the end of. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts(Arc<AtomicU32>);

/// What is sent for an invocation.
pub(super) struct Outgoing {
    pub(super) path: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl RawRequest {
    /// A request for `operation` on `model`, received with this path, these headers and this body.
    pub fn new(
        operation: Operation,
        model: ModelId,
        path: PathAndQuery,
        headers: HeaderMap,
        body: Bytes,
    ) -> Self {
        Self {
            received: Arc::new(Received {
                operation,
                model,
                path,
                headers,
                attempts: Attempts::default(),
            }),
            body,
            max_output_tokens: None,
            cacheable: true,
        }
    }

    /// Tells what bound on the output the body itself sets, so that it is changed only where the
    /// envelope's differs.
    #[must_use]
    pub const fn with_max_output_tokens(mut self, max_output_tokens: Option<u64>) -> Self {
        self.max_output_tokens = max_output_tokens;
        self
    }

    /// Has no answer of it kept, and none that was kept be its answer.
    #[must_use]
    pub const fn with_cacheable(mut self, cacheable: bool) -> Self {
        self.cacheable = cacheable;
        self
    }

    /// The operation asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.received.operation
    }

    /// How often it is sent, by this clone and others.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.received.attempts
    }

    /// The headers that go out with it.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.received.headers
    }

    /// Whether its answer may be kept, and a kept one be its answer.
    #[must_use]
    pub const fn is_cacheable(&self) -> bool {
        self.cacheable
    }

    /// The body as it was received.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

impl Attempts {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Outgoing {
    /// The envelope decides, the input follows.
    pub(super) fn new(invocation: &Invocation<RawRequest>) -> Self {
        let RawRequest {
            received,
            body,
            max_output_tokens,
            ..
        } = invocation.input();
        let target = invocation.target();
        let mut outgoing = Self {
            path: path(received, target),
            headers: received.headers.clone(),
            body: body.clone(),
        };
        let bound = invocation.demand().max_output_tokens();
        if let Some(bound) = bound.filter(|_| bound != *max_output_tokens) {
            outgoing.rewrite(|body| {
                rewrite::max_output_tokens(received.operation, target.model(), body, bound)
            });
        }
        if let Some(tier) = target.service_tier() {
            if received.operation.is_converse() {
                outgoing.rewrite(|body| rewrite::service_tier(body, tier));
            } else {
                outgoing.headers.insert(
                    HeaderName::from_static("x-amzn-bedrock-service-tier"),
                    HeaderValue::from_static(tier.as_str()),
                );
            }
        }
        outgoing
    }

    /// A body that is not what its operation takes stays as it is: refusing it is Bedrock's part.
    fn rewrite(&mut self, rewrite: impl FnOnce(&[u8]) -> Option<Vec<u8>>) {
        if let Some(body) = rewrite(&self.body) {
            self.body = body.into();
        }
    }
}

/// The path as it was received, or that of the model the call was re-targeted to.
fn path(received: &Received, target: &Target) -> PathAndQuery {
    if *target.model() == received.model {
        return received.path.clone();
    }
    // An encoded id is a valid path; the received one is the harmless way out.
    path_of(received.operation, target.model()).unwrap_or_else(|_| received.path.clone())
}

/// The path of an operation on a model.
pub(crate) fn path_of(operation: Operation, model: &ModelId) -> Result<PathAndQuery, InvalidUri> {
    // What RFC 3986 leaves unreserved stays as it is, as AWS SDKs have it.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let model = utf8_percent_encode(model.as_str(), ENCODED);
    format!("/model/{model}/{}", operation.segment()).parse()
}

impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRequest")
            .field("operation", &self.received.operation)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
