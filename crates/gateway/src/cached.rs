//! Which answers the cache keeps, and how they are given again.

use std::fmt;

use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT, CACHE_CONTROL},
};
use tower_bedrock::cache::{Cacheable, InvalidSetting, Key, Observer};
use tower_bedrock_core::Invocation;

use crate::{
    Operation,
    config::CacheConfig,
    upstream::{RawRequest, RawResponse},
    wire_error::REQUEST_ID,
};

/// The layer, for calls as the gateway has them. Its functions are behind pointers, so that it can be named.
pub(crate) type CacheLayer =
    tower_bedrock::cache::CacheLayer<KeyOf, fn(&KeptResponse) -> usize, KeptResponse>;

type KeyOf = fn(&Invocation<RawRequest>) -> Option<Key>;

/// The largest body that is looked up. A key takes reading all of a body, on the thread that serves others meanwhile, and
/// what is longer is seldom asked twice.
const LARGEST_BODY: usize = 1 << 20;

/// An answer that was whole: a unary one's body, or all frames of a stream. `Debug` shows its size, not its text.
#[derive(Clone)]
pub struct KeptResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The layer as configured. Without a section nothing is kept.
pub(crate) fn layer(
    config: Option<&CacheConfig>,
    observer: impl Observer,
) -> Result<CacheLayer, InvalidSetting> {
    let key: KeyOf = if config.is_some() { key } else { |_| None };
    let config = config.copied().unwrap_or_default();
    CacheLayer::builder(key, KeptResponse::bytes as fn(&KeptResponse) -> usize)
        .max_bytes(config.max_bytes)
        .fresh_for(config.fresh_for)
        .stale_for(config.stale_for)
        .share_in_flight(config.share_in_flight)
        .observer(observer)
        .build()
}

/// What makes two calls the same: the body's meaning, and those headers that Bedrock answers by. `None` where
/// there is no answer to keep, or the client forbids it.
fn key(call: &Invocation<RawRequest>) -> Option<Key> {
    let request = call.input();
    if request.operation() == Operation::CountTokens
        || !request.is_cacheable()
        || request.body().len() > LARGEST_BODY
    {
        return None;
    }
    let mut operation = request.operation().as_str().to_owned();
    for (name, value) in request.headers() {
        if name == ACCEPT || name.as_str().starts_with("x-amzn-bedrock-") {
            // A value that is no text is rare enough to be kept apart by not being kept.
            operation.extend(["\n", name.as_str(), ":", value.to_str().ok()?]);
        }
    }
    Key::of_json(call, &operation, request.body())
}

/// Whether a client lets its answers be kept: not with a `Cache-Control` of `no-store` or `no-cache`.
pub(crate) fn allowed(headers: &HeaderMap) -> bool {
    let controls = headers.get_all(CACHE_CONTROL);
    let mut directives = controls
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    !directives.any(|directive| {
        let directive = directive.trim_ascii();
        directive.eq_ignore_ascii_case(b"no-store") || directive.eq_ignore_ascii_case(b"no-cache")
    })
}

impl KeptResponse {
    /// About what it takes.
    fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        headers + self.body.len()
    }
}

impl Cacheable for RawResponse {
    type Kept = KeptResponse;

    fn when_whole<F>(self, keep: F) -> Self
    where
        F: FnOnce(KeptResponse) + Send + 'static,
    {
        let (status, mut headers) = (self.status(), self.headers().clone());
        // It is another request that gets it.
        headers.remove(REQUEST_ID);
        self.take_down(move |body| {
            keep(KeptResponse {
                status,
                headers,
                body,
            });
        })
    }

    fn again(kept: KeptResponse) -> Self {
        Self::again(kept.status, kept.headers, kept.body)
    }
}

impl fmt::Debug for KeptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptResponse")
            .field("status", &self.status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}
