use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_bedrock_core::Answer;

use super::{Reply, ReplyStream, SimulatedError};
use crate::{Admitted, Call, Disruption, Simulator, Step};

pin_project! {
    /// The answer of a [`Prompt`](super::Prompt), whole. The call begins when it is first polled.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ReplyFuture {
        #[pin]
        underway: Underway,
    }
}

pin_project! {
    /// The answer of a [`StreamPrompt`](super::StreamPrompt), once its first delta is there. Whatever goes
    /// wrong before is an error of the call.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ReplyStreamFuture {
        #[pin]
        underway: Underway,
    }
}

pin_project! {
    /// A call from its first poll until its first sign of life.
    #[derive(Debug)]
    struct Underway {
        simulator: Simulator,
        // Until it is admitted.
        call: Option<Call>,
        // From then on, until it is taken over.
        admitted: Option<Admitted>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Underway {
    const fn new(simulator: Simulator, call: Call) -> Self {
        Self {
            simulator,
            call: Some(call),
            admitted: None,
            sleep: None,
        }
    }

    /// Answers the call at the time that `due` names.
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        due: impl FnOnce(&Admitted) -> tokio::time::Instant,
    ) -> Poll<Result<Admitted, SimulatedError>> {
        let mut this = self.project();
        if let Some(call) = this.call.take() {
            let admitted = this
                .simulator
                .begin(&call)
                .map_err(|denied| SimulatedError::denied(denied, this.simulator))?;
            this.sleep.set(Some(sleep_until(due(&admitted))));
            *this.admitted = Some(admitted);
        }
        let Some(admitted) = this.admitted.as_ref() else {
            panic!("polled after completion");
        };
        let disruption = match admitted.plan().step(0) {
            Step::Disruption(Disruption::Hang) => return Poll::Pending,
            Step::Disruption(disruption) => SimulatedError::disrupted(disruption, this.simulator),
            Step::Delta(_) | Step::End => None,
        };
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        match (this.admitted.take(), disruption) {
            (Some(admitted), Some(error)) => {
                admitted.fail();
                Poll::Ready(Err(error))
            }
            (Some(admitted), None) => Poll::Ready(Ok(admitted)),
            (None, _) => Poll::Pending,
        }
    }
}

impl ReplyFuture {
    pub(super) const fn new(simulator: Simulator, call: Call) -> Self {
        Self {
            underway: Underway::new(simulator, call),
        }
    }
}

impl ReplyStreamFuture {
    pub(super) const fn new(simulator: Simulator, call: Call) -> Self {
        Self {
            underway: Underway::new(simulator, call),
        }
    }
}

impl Future for ReplyFuture {
    type Output = Result<Answer<Reply>, SimulatedError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let underway = self.project().underway;
        let admitted =
            ready!(underway.poll(cx, |admitted| admitted.instant(admitted.plan().duration())))?;
        let plan = admitted.plan();
        let usage = plan.usage();
        let reply = Reply {
            tokens: usage.output,
            stop_reason: plan.stop_reason(),
        };
        admitted.complete();
        Poll::Ready(Ok(Answer::new(reply).with_usage(usage)))
    }
}

impl Future for ReplyStreamFuture {
    type Output = Result<ReplyStream, SimulatedError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let underway = self.project().underway;
        let admitted =
            ready!(underway.poll(cx, |admitted| admitted.instant(admitted.plan().due(0))))?;
        Poll::Ready(Ok(ReplyStream::new(admitted)))
    }
}
