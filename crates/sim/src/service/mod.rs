//! The in-process face: the simulator as a Tower service, in [`tokio::time`]. In a paused runtime hours run
//! in milliseconds, and the same seed and the same calls give the same answers at the same instants.

mod error;
mod future;
mod prompt;
mod stream;

use std::task::{Context, Poll};

use tower_bedrock_core::{Answer, HasDemand, HasTarget, Invocation};
use tower_service::Service;

pub use self::{
    error::SimulatedError,
    future::{ReplyFuture, ReplyStreamFuture},
    prompt::{Prompt, Reply, StreamPrompt},
    stream::ReplyStream,
};
use crate::{Call, Operation, Simulator};

/// A simulated Bedrock as the leaf of a Tower stack: a service of [`Prompt`]s, answered whole, and of
/// [`StreamPrompt`]s, answered delta by delta.
///
/// ```
/// use bedrock_sim::{FaultName, FaultSpec, Input, Prompt, Simulator};
/// use tower::ServiceExt;
/// use tower_bedrock_core::{FaultKind, HasFault, Target};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let simulator = Simulator::default();
/// simulator.add_fault(FaultSpec::once(FaultName::ThrottleTokens))?;
///
/// let bedrock = simulator.service();
/// let target = Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?;
/// let prompt = Prompt::new(Input::of_tokens(1_000)).with_max_output_tokens(500).with_output_tokens(100);
/// let invocation = prompt.to(target);
///
/// let error = bedrock.clone().oneshot(invocation.clone()).await.unwrap_err();
/// assert_eq!(error.fault().kind(), FaultKind::ThrottledTokens);
///
/// let answer = bedrock.oneshot(invocation).await?;
/// assert_eq!(answer.usage().map(|usage| usage.output), Some(100));
/// assert_eq!(simulator.ledger().entries[1].settled, 1_000 + 100 * 5);
/// # Ok(())
/// # }
/// ```
///
/// The envelope decides: the call goes to its target, and where its demand bounds the output, that bound
/// holds. The input tokens are the prompt's own and not the demand's, which is an estimate.
///
/// # Cancel safety
///
/// A call begins when its future is first polled. Dropping the future or the stream settles the call with
/// what was generated until then, as it is billed.
///
/// # Clone
///
/// Clones share the simulator.
#[derive(Clone, Debug)]
pub struct SimulatedBedrock {
    simulator: Simulator,
}

impl SimulatedBedrock {
    /// A service in front of a simulator.
    #[must_use]
    pub const fn new(simulator: Simulator) -> Self {
        Self { simulator }
    }

    /// The simulator behind it.
    #[must_use]
    pub const fn simulator(&self) -> &Simulator {
        &self.simulator
    }
}

impl Simulator {
    /// The in-process face.
    #[must_use]
    pub fn service(&self) -> SimulatedBedrock {
        SimulatedBedrock::new(self.clone())
    }
}

impl Service<Invocation<Prompt>> for SimulatedBedrock {
    type Response = Answer<Reply>;
    type Error = SimulatedError;
    type Future = ReplyFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: Invocation<Prompt>) -> Self::Future {
        let call = call(Operation::Converse, &invocation, invocation.input());
        ReplyFuture::new(self.simulator.clone(), call)
    }
}

impl Service<Invocation<StreamPrompt>> for SimulatedBedrock {
    type Response = ReplyStream;
    type Error = SimulatedError;
    type Future = ReplyStreamFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: Invocation<StreamPrompt>) -> Self::Future {
        let call = call(
            Operation::ConverseStream,
            &invocation,
            &invocation.input().0,
        );
        ReplyStreamFuture::new(self.simulator.clone(), call)
    }
}

fn call<I>(operation: Operation, envelope: &Invocation<I>, prompt: &Prompt) -> Call {
    let target = envelope.target();
    let mut call = Call::new(
        operation,
        target.region().clone(),
        target.model().clone(),
        prompt.input,
    )
    .with_cache(prompt.cache_read_tokens, prompt.cache_write_tokens);
    let bound = envelope.demand().max_output_tokens();
    call.max_tokens = bound.or(prompt.max_output_tokens);
    call.output_tokens = prompt.output_tokens;
    call.service_tier = target.service_tier();
    call
}
