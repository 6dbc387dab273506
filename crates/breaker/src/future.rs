use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_bedrock_core::{HasCompletion, HasFault, HasTarget};
use tower_service::Service;

use crate::{Open, machine::Refusal, permit::Permit};

pin_project! {
    /// The response of a [`CircuitBreaker`](crate::CircuitBreaker).
    ///
    /// # Cancel safety
    ///
    /// Dropping it at any point leaves the breaker as if the call hadn't been made.
    pub struct ResponseFuture<S, R, F, Q> {
        #[pin]
        stage: Stage<S, R, F>,
        // After `stage`, and so dropped after it: the place is free once the call is really gone.
        permit: Option<Permit<Q>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, R, F> {
        Rejected { request: Option<R>, refusal: Refusal },
        // The inner service is a clone of the breaker's own, polled here and called here, so the instance
        // that was ready is the one that is called.
        Waiting { inner: S, request: Option<R> },
        Calling { #[pin] future: F },
    }
}

impl<S, R, F, Q> ResponseFuture<S, R, F, Q> {
    pub(crate) const fn admitted(permit: Option<Permit<Q>>, inner: S, request: R) -> Self {
        Self {
            stage: Stage::Waiting {
                inner,
                request: Some(request),
            },
            permit,
        }
    }

    pub(crate) const fn rejected(refusal: Refusal, request: R) -> Self {
        Self {
            stage: Stage::Rejected {
                request: Some(request),
                refusal,
            },
            permit: None,
        }
    }
}

impl<S, R, Q> Future for ResponseFuture<S, R, S::Future, Q>
where
    S: Service<R>,
    S::Response: HasCompletion,
    S::Error: HasFault + From<Open>,
    R: HasTarget,
    Q: Clone + Send + Sync + 'static,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            match this.stage.as_mut().project() {
                StageProj::Rejected { request, refusal } => {
                    let request = request.take().expect("polled after completion");
                    let open = Open::new(request.target().clone(), *refusal);
                    return Poll::Ready(Err(open.into()));
                }
                StageProj::Waiting { inner, request } => {
                    if let Err(error) = ready!(inner.poll_ready(cx)) {
                        break Err(error);
                    }
                    let request = request.take().expect("polled after completion");
                    let future = inner.call(request);
                    this.stage.set(Stage::Calling { future });
                }
                StageProj::Calling { future } => break ready!(future.poll(cx)),
            }
        };
        // Without a permit the call passed unguarded, and there is nobody to report to.
        let Some(permit) = this.permit.take() else {
            return Poll::Ready(result);
        };
        Poll::Ready(match result {
            Ok(mut response) => {
                let took = permit.elapsed();
                response.on_completion(move |completion| permit.completed(completion, took));
                Ok(response)
            }
            Err(error) => {
                permit.failed(&error.fault());
                Err(error)
            }
        })
    }
}

impl<S, R, F, Q> fmt::Debug for ResponseFuture<S, R, F, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Rejected { .. } => "rejected",
            Stage::Waiting { .. } => "waiting",
            Stage::Calling { .. } => "calling",
        };
        f.debug_struct("ResponseFuture")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
