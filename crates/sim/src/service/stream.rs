use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::time::{Sleep, sleep_until};
use tower_bedrock_core::{Completion, HasCompletion, HasFault, History, Observers, Outcome};

use super::SimulatedError;
use crate::{Admitted, Delta, Disruption, Step, StopReason};

/// An answer as it is generated, from its first delta on.
///
/// ```
/// use bedrock_sim::{Input, Prompt, Simulator};
/// use tower::ServiceExt;
/// use tower_bedrock_core::{HasCompletion, Outcome, Target};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let target = Target::parse("us-east-1", "us.amazon.nova-lite-v1:0")?;
/// let prompt = Prompt::new(Input::of_tokens(100)).with_output_tokens(10).streamed();
///
/// let bedrock = Simulator::default().service();
/// let mut stream = bedrock.oneshot(prompt.to(target)).await?;
/// stream.on_completion(|completion| assert_eq!(completion.outcome, Outcome::Complete));
///
/// let mut text = String::new();
/// while let Some(delta) = stream.recv().await {
///     text += &delta?.text();
/// }
/// assert_eq!(text, "This is a simulated answer from bedrock-sim. No model was ");
/// # Ok(())
/// # }
/// ```
///
/// It ends with an error where it breaks off, and never looks whole then. It commits: what went wrong
/// before its first delta was an error of the call that would have answered with it.
///
/// # Cancel safety
///
/// [`recv`](Self::recv) loses nothing when it is dropped. Dropping the stream settles the call with what
/// was generated until then.
pub struct ReplyStream {
    /// Until the end. Goes before the observers, so that they find the call settled.
    admitted: Option<Admitted>,
    sent: u64,
    /// Until what comes after the deltas sent.
    sleep: Pin<Box<Sleep>>,
    stop_reason: StopReason,
    observers: Observers,
    history: History,
}

impl ReplyStream {
    pub(super) fn new(admitted: Admitted) -> Self {
        let plan = admitted.plan();
        let mut observers = Observers::default();
        let simulator = admitted.simulator();
        observers.first_token(simulator.real(plan.time_to_first_token()));
        Self {
            sent: 0,
            sleep: Box::pin(sleep_until(admitted.instant(plan.due(0)))),
            stop_reason: plan.stop_reason(),
            admitted: Some(admitted),
            observers,
            history: History::default(),
        }
    }

    /// The next delta, or `None` when the answer is whole.
    ///
    /// # Errors
    ///
    /// [`SimulatedError`] where the answer breaks off. Nothing follows it.
    pub async fn recv(&mut self) -> Option<Result<Delta, SimulatedError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Why the model stops. Bedrock tells it with the last event.
    #[must_use]
    pub const fn stop_reason(&self) -> StopReason {
        self.stop_reason
    }
}

impl Stream for ReplyStream {
    type Item = Result<Delta, SimulatedError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(admitted) = &this.admitted else {
            return Poll::Ready(None);
        };
        let plan = admitted.plan();
        let step = plan.step(this.sent);
        if step == Step::Disruption(&Disruption::Hang) {
            return Poll::Pending;
        }
        ready!(this.sleep.as_mut().poll(cx));
        let error = match step {
            Step::Delta(delta) => {
                this.sent += 1;
                let next = admitted.instant(plan.due(this.sent));
                this.sleep.as_mut().reset(next);
                return Poll::Ready(Some(Ok(delta)));
            }
            Step::Disruption(disruption) => {
                SimulatedError::disrupted(disruption, admitted.simulator())
            }
            Step::End => None,
        };
        let usage = plan.usage();
        if let Some(admitted) = this.admitted.take() {
            match &error {
                Some(_) => admitted.fail(),
                None => admitted.complete(),
            }
        }
        match error {
            Some(error) => {
                this.observers.finish(Outcome::Failed(error.fault()));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                this.observers.usage(usage);
                this.observers.finish(Outcome::Complete);
                Poll::Ready(None)
            }
        }
    }
}

impl HasCompletion for ReplyStream {
    fn on_completion<F>(&mut self, observer: F)
    where
        F: FnOnce(&Completion) + Send + 'static,
    {
        self.observers.add(observer);
    }

    fn history(&self) -> Option<&History> {
        Some(&self.history)
    }

    fn history_mut(&mut self) -> Option<&mut History> {
        Some(&mut self.history)
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("sent", &self.sent)
            .field("ended", &self.admitted.is_none())
            .finish_non_exhaustive()
    }
}
