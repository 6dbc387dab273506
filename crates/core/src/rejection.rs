/// The error of a policy that turned a call away itself, without asking Bedrock.
///
/// ```
/// use tower_bedrock_core::{Fault, FaultKind, HasFault, Rejection};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the door is closed")]
/// struct Closed(#[source] Fault);
///
/// impl Rejection for Closed {}
///
/// // A boxed error takes a rejection as it stands ...
/// let boxed: Box<dyn std::error::Error + Send + Sync> = Closed(Fault::new(FaultKind::CircuitOpen)).into();
/// assert_eq!(boxed.fault().kind(), FaultKind::CircuitOpen);
///
/// // ... and a leaf's own error type takes all of them with one implementation.
/// #[derive(Debug)]
/// enum MyError {
///     Rejected(Box<dyn Rejection>),
///     // ...
/// }
///
/// impl<R: Rejection> From<R> for MyError {
///     fn from(rejection: R) -> Self {
///         Self::Rejected(Box::new(rejection))
///     }
/// }
/// # let _: MyError = Closed(Fault::new(FaultKind::CircuitOpen)).into();
/// ```
///
/// # Contract
///
/// The [`Fault`](crate::Fault) is found in the chain of [`source`](std::error::Error::source)s (see
/// [`Fault::find`](crate::Fault::find)). That is what lets it be seen through a box.
pub trait Rejection: std::error::Error + Send + Sync + 'static {}

/// A bare fault can be a rejection: it is the end of its own chain.
impl Rejection for crate::Fault {}
