use std::future::Ready;

/// Counts the input tokens of requests exactly, before they are admitted.
///
/// Bedrock's CountTokens costs a round trip and no money. That is worth it for a large prompt, whose
/// estimate may be off by thousands of tokens, and for no other: answer `None` for those, and they go
/// on with the estimate at once. Only calls that are counted wait for it, and none holds anything while it
/// does. `tower_bedrock::count::CountLarge` does so for the AWS SDK's inputs.
///
/// ```
/// use std::future::{Ready, ready};
/// use tower_bedrock_core::Invocation;
/// use tower_bedrock_quota::{CountTokens, Limiter, QuotaLayer};
///
/// /// Counts prompts that are estimated at more than 50,000 tokens.
/// #[derive(Clone)]
/// struct CountLarge;
///
/// impl CountTokens<Invocation<String>> for CountLarge {
///     type Future = Ready<Option<u64>>;
///
///     fn count(&self, call: &Invocation<String>, estimate: u64) -> Option<Self::Future> {
///         // A real one calls Bedrock's CountTokens, with a timeout.
///         (estimate > 50_000).then(|| ready(Some(call.input().len() as u64 / 4)))
///     }
/// }
///
/// let layer = QuotaLayer::new(Limiter::builder().build()?).with_count(CountLarge);
/// # Ok::<(), tower_bedrock_quota::InvalidConfig>(())
/// ```
pub trait CountTokens<Request> {
    /// Resolves to the number of input tokens, or to `None` where they could not be counted; then the
    /// estimate stands. Give it a timeout: the call waits for it.
    type Future: Future<Output = Option<u64>>;

    /// Starts to count, or answers `None` where the estimate is good enough.
    fn count(&self, request: &Request, estimate: u64) -> Option<Self::Future>;
}

/// Counts nothing.
impl<Request> CountTokens<Request> for () {
    type Future = Ready<Option<u64>>;

    fn count(&self, _: &Request, _: u64) -> Option<Self::Future> {
        None
    }
}
