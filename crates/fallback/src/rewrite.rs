use tower_bedrock_core::{Fault, Target};

/// Makes a request fit for the hop it is about to be sent to.
///
/// Converse needs none: one request fits every model. Bodies of `InvokeModel` differ between model families.
/// Implemented for `()`, which changes nothing, and for closures:
///
/// ```
/// use tower_bedrock_core::{Fault, FaultKind, Invocation, Target};
/// use tower_bedrock_fallback::Rewrite;
///
/// let rewrite = |call: &mut Invocation<String>, target: &Target| {
///     if target.model().base().starts_with("amazon.") {
///         *call.input_mut() = format!(r#"{{"schemaVersion":"messages-v1", ...}}"#);
///         Ok(())
///     } else {
///         Err(Fault::new(FaultKind::Validation)) // cannot be said to that model: leave the hop out
///     }
/// };
/// # fn is_rewrite<R: Rewrite<Invocation<String>>>(_: R) {}
/// # is_rewrite(rewrite);
/// ```
pub trait Rewrite<Request> {
    /// Changes `request`, whose target is `target` already.
    ///
    /// Asked only for alternatives, never for the target the caller chose.
    ///
    /// # Errors
    ///
    /// A fault leaves the hop out; it is kept in the call's history.
    fn rewrite(&self, request: &mut Request, target: &Target) -> Result<(), Fault>;
}

impl<Request> Rewrite<Request> for () {
    fn rewrite(&self, _: &mut Request, _: &Target) -> Result<(), Fault> {
        Ok(())
    }
}

impl<F, Request> Rewrite<Request> for F
where
    F: Fn(&mut Request, &Target) -> Result<(), Fault>,
{
    fn rewrite(&self, request: &mut Request, target: &Target) -> Result<(), Fault> {
        self(request, target)
    }
}
