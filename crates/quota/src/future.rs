use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_bedrock_core::{HasCompletion, HasDemand, HasFault, HasTarget};
use tower_service::Service;

use crate::{
    CountTokens, Exhausted, Limiter, Reservation, registry::Meters, start::Start, waiting::Waiting,
};

pin_project! {
    #[project = FutureProj]
    /// The response future of [`Quota`](crate::Quota).
    ///
    /// # Cancel safety
    ///
    /// Dropped before the call is sent, it gives back what it reserved and leaves the queue. Dropped after,
    /// it keeps what it reserved until that leaves the window: the call runs on at Bedrock.
    pub struct ResponseFuture<S, Request, C = ()>
    where
        S: Service<Request>,
        C: CountTokens<Request>,
    {
        limiter: Limiter,
        count: C,
        inner: S,
        request: Option<Request>,
        #[pin]
        state: State<C::Future, S::Future>,
        // Of a call that was admitted. After `state`, and so dropped after it: the call is gone by then.
        reservation: Option<Reservation>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Count, Call> {
        Start,
        Counting {
            meters: Meters,
            estimate: u64,
            #[pin]
            count: Count,
        },
        Waiting {
            #[pin]
            waiting: Waiting,
        },
        // Admitted, and waiting for the inner service.
        Admitted,
        Called {
            #[pin]
            call: Call,
        },
        Done,
    }
}

impl<S, Request, C> ResponseFuture<S, Request, C>
where
    S: Service<Request>,
    C: CountTokens<Request>,
{
    pub(crate) const fn new(limiter: Limiter, count: C, inner: S, request: Request) -> Self {
        Self {
            limiter,
            count,
            inner,
            request: Some(request),
            state: State::Start,
            reservation: None,
        }
    }
}

impl<S, Request, C> Future for ResponseFuture<S, Request, C>
where
    S: Service<Request>,
    S::Response: HasCompletion,
    S::Error: HasFault + From<Exhausted>,
    Request: HasTarget + HasDemand,
    C: CountTokens<Request>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = ready!(drive(&mut this, cx));
        // Nothing is held for longer than the call lasts, however long its future is kept.
        this.state.set(State::Done);
        Poll::Ready(result)
    }
}

const DONE: &str = "polled after it was done";

fn drive<S, Request, C>(
    this: &mut FutureProj<'_, S, Request, C>,
    cx: &mut Context<'_>,
) -> Poll<Result<S::Response, S::Error>>
where
    S: Service<Request>,
    S::Response: HasCompletion,
    S::Error: HasFault + From<Exhausted>,
    Request: HasTarget + HasDemand,
    C: CountTokens<Request>,
{
    loop {
        let start = match this.state.as_mut().project() {
            StateProj::Start => {
                let request = this.request.as_mut().expect(DONE);
                let meters = this.limiter.meters(request.target());
                let estimate = meters.estimate(request);
                if let Some(count) = this.count.count(request, estimate) {
                    this.state.set(State::Counting {
                        meters,
                        estimate,
                        count,
                    });
                    continue;
                }
                admit(meters, request, estimate, cx)
            }
            StateProj::Counting {
                meters,
                estimate,
                count,
            } => {
                let input = ready!(count.poll(cx)).unwrap_or(*estimate);
                let request = this.request.as_ref().expect(DONE);
                let meters = std::mem::replace(meters, Meters::Nothing);
                admit(meters, request, input, cx)
            }
            StateProj::Waiting { waiting } => Start::Reserved(ready!(waiting.poll(cx))?),
            StateProj::Admitted => {
                let reservation = this.reservation.as_mut().expect(DONE);
                match this.inner.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        reservation.sent();
                        let call = this.inner.call(this.request.take().expect(DONE));
                        this.state.set(State::Called { call });
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        *this.reservation = None;
                        return Poll::Ready(Err(error));
                    }
                    Poll::Pending => {
                        reservation.hold();
                        return Poll::Pending;
                    }
                }
            }
            StateProj::Called { call } => {
                let result = ready!(call.poll(cx));
                let reservation = this.reservation.take().expect(DONE);
                return Poll::Ready(match result {
                    Ok(mut response) => {
                        response.on_completion(|completion| reservation.complete(completion));
                        Ok(response)
                    }
                    Err(error) => {
                        reservation.fail(&error.fault());
                        Err(error)
                    }
                });
            }
            StateProj::Done => panic!("{DONE}"),
        };
        match start {
            Start::Reserved(reservation) => {
                *this.reservation = Some(reservation);
                this.state.set(State::Admitted);
            }
            Start::Waits(seat) => {
                let demand = this.request.as_ref().expect(DONE).demand();
                this.state.set(State::Waiting {
                    waiting: Waiting::new(seat, demand),
                });
            }
            Start::Refused(exhausted) => return Poll::Ready(Err(exhausted.into())),
        }
    }
}

/// Asks the quota for so many input tokens and what the request bounds its output to.
fn admit<Request>(meters: Meters, request: &Request, input: u64, cx: &mut Context<'_>) -> Start
where
    Request: HasTarget + HasDemand,
{
    let demand = request.demand();
    let tokens = meters.tokens(input, &demand);
    meters.start(None, tokens, &demand, request.context(), cx.waker())
}

impl<S, Request, C> fmt::Debug for ResponseFuture<S, Request, C>
where
    S: Service<Request>,
    C: CountTokens<Request>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
