//! A slot of the standard stack that may be empty.

use bedrock_sim::{Prompt, Reply, SimulatedError};
use tower::{Layer, Service, util::BoxCloneService};
use tower_bedrock::{Answer, Invocation};

/// A service of the stack whose type is forgotten: whether a slot is empty is known at run time only, and
/// types that tell both cases apart would double with every slot.
pub(crate) type Boxed = BoxCloneService<Invocation<Prompt>, Answer<Reply>, SimulatedError>;

/// The layer in the slot, if there is one.
pub(crate) struct Slot<L>(pub(crate) Option<L>);

impl<S, L> Layer<S> for Slot<L>
where
    L: Layer<S>,
    S: Inside + Service<Invocation<Prompt>, Future: Send>,
    L::Service: Inside + Service<Invocation<Prompt>, Future: Send>,
{
    type Service = Boxed;

    fn layer(&self, inner: S) -> Boxed {
        match &self.0 {
            Some(layer) => BoxCloneService::new(layer.layer(inner)),
            None => BoxCloneService::new(inner),
        }
    }
}

/// What a service of the stack is.
pub(crate) trait Inside:
    Service<Invocation<Prompt>, Response = Answer<Reply>, Error = SimulatedError>
    + Clone
    + Send
    + 'static
{
}

impl<S> Inside for S where
    S: Service<Invocation<Prompt>, Response = Answer<Reply>, Error = SimulatedError>
        + Clone
        + Send
        + 'static
{
}
