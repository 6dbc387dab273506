//! Answers of the AWS SDK's operations, kept: what a [cache](crate::cache) has to know of their inputs and outputs.
//!
//! ```no_run
//! use aws_sdk_bedrockruntime::operation::converse_stream::ConverseStreamInput;
//! use tower::{Layer, ServiceBuilder, ServiceExt};
//! # use tower_bedrock::{BoxError, Context, HasCompletion};
//! use tower_bedrock::{BedrockService, caching, timeout::TimeoutLayer};
//!
//! # async fn example(input: ConverseStreamInput) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let leaf = BedrockService::new(&aws_config::load_from_env().await)?;
//! let cache = caching::builder::<ConverseStreamInput>().max_bytes(64 << 20).build()?;
//! let bedrock = ServiceBuilder::new()
//!     // In place of both a `StandardStack` with this cache, or the layers you want.
//!     .layer(cache)
//!     .layer(TimeoutLayer::REQUEST)
//!     .service(leaf.clone());
//!
//! let call = leaf.invocation(input)?.with_context(Context::new().with_tenant("a"));
//! // A stream in any case: of events as they come, or of those that came when the same was asked before.
//! let mut events = bedrock.oneshot(call).await?;
//! let age = events.history().and_then(|history| history.degraded?.age);
//! # let _ = (age, events.recv().await?);
//! # Ok(())
//! # }
//! ```
//!
//! # What makes two calls the same
//!
//! All that the SDK would send: the body by its meaning as JSON, and the headers beside it. So `requestMetadata` counts
//! too, which many applications fill with what is never the same twice. And tenant, model and operation, as for every
//! [`Key`]. A call that the SDK can't write, whose body is no JSON, or one nested more than 32 levels deep, has no
//! key: it is made as if there were no cache.
//!
//! # What is kept of a stream
//!
//! All its events, once the last has come; see [`EventStream`](crate::EventStream)'s implementation of
//! [`Cacheable`]. Nothing of one that breaks off, or that nobody reads to its end.

use tower_bedrock_cache::{Builder, CacheLayer, Key};
use tower_bedrock_core::{Cacheable, Invocation};
use tower_bedrock_service::{BedrockInput, BedrockService, Sent};
use tower_service::Service;

/// What is kept of an answer to `I`.
pub type Kept<I> = <<BedrockService as Service<Invocation<I>>>::Response as Cacheable>::Kept;

/// A pointer to [`key`].
pub type KeyOf<I> = fn(&Invocation<I>) -> Option<Key>;

/// A pointer to [`kept_bytes`](BedrockInput::kept_bytes).
pub type BytesOf<I> = fn(&Kept<I>) -> usize;

/// The layer that [`builder`] sets up, for who has to name it.
pub type SdkCacheLayer<I> = CacheLayer<KeyOf<I>, BytesOf<I>, Kept<I>>;

/// Sets up a cache for one of the SDK's inputs. Around whatever answers as [`BedrockService`] does.
#[must_use]
pub fn builder<I: BedrockInput + Clone>() -> Builder<KeyOf<I>, BytesOf<I>> {
    SdkCacheLayer::<I>::builder(key::<I> as KeyOf<I>, I::kept_bytes as BytesOf<I>)
}

/// What makes two calls the same, see the [module's documentation](self). For a
/// [`CacheLayer::builder`] of one's own, where some calls are not to be kept.
///
/// Clones the input and reads all of it.
#[must_use]
pub fn key<I: BedrockInput + Clone>(call: &Invocation<I>) -> Option<Key> {
    let sent = Sent::of(call)?;
    let mut operation = sent.operation().as_str().to_owned();
    for (name, value) in sent.headers() {
        // Neither has a line break in it.
        operation.extend(["\n", name, ":", std::str::from_utf8(value).ok()?]);
    }
    Key::of_json(call, &operation, sent.body())
}
